"""The backward pass of each kind of layer in named steps, and the bugs that replace one."""
