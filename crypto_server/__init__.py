"""The Recording Crypto Server: holds private keys and plays recordings to permitted listeners.

It reads metadata and stored bytes from the recording processor, checks them, decrypts them with a
key of the recording's tenant, and writes down who listened to what. No plaintext touches a disk.
"""
