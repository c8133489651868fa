"""Dense layers: the steps BP1 to BP4, and the bugs of each."""
