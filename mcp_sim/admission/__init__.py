"""Whether one more call may begin: limits, what is measured, and what each source may have."""
