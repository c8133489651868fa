"""A report as a page: what was said, the failing network to step through, and every number beside the right one."""
