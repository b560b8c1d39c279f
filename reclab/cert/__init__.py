"""``reclab cert``: recording certificates from the first key to the last day.

Made here with plain files; uploaded, deployed and deleted through a running crypto server.
"""
