"""Re-wrap: recipients are added to and removed from stored envelopes; no ciphertext is touched.

What the application mounts, after the objects of the administration are there::

    envelopes = EnvelopeClient(settings.processor, password, session)
    rewrapper = Rewrapper(certificates, keystore, processor, envelopes)
    RewrapRoutes(rewrapper, actions).add_to(app)
"""

from crypto_server.rewrap.envelope_client import EnvelopeClient
from crypto_server.rewrap.rewrapper import Rewrapper
from crypto_server.rewrap.routes import RewrapRoutes

__all__ = ["EnvelopeClient", "RewrapRoutes", "Rewrapper"]
