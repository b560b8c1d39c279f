"""The keystore: the private keys of all tenants, as encrypted PKCS#12 files."""

from crypto_server.keystore.additions import PutReport
from crypto_server.keystore.folder_lock import FolderInUse
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.keystore import Keystore
from crypto_server.keystore.tenant_folders import KeystoreCount

__all__ = ["FolderInUse", "KeyEntry", "Keystore", "KeystoreCount", "PutReport"]
