"""The administration of recording certificates over HTTP: upload, list, deploy, delete, renew.

For accounts of the role `admin`, by Basic or by a session, each within its tenants.
"""
