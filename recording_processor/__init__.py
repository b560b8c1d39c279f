"""Takes a recording's metadata exactly once, indexes it, answers searches, and owns IVR profiles.

It stands for the Recording Processor, Interaction Recording Web Services, Configuration Server (as
far as IVR profiles go) and the administrator's console. It holds no private key.
"""
