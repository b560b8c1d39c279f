"""The private keys that recordings are proved with: the lab's own, and those that are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from recording_format.distinguished_name import readable_name
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError
from recording_format.private_keys import load_private_key
from recording_format.session_key import SessionKey


class KeyRing:
    """Private keys by certificate alias, and `others` without one; read when they are first needed.

    A key of `others` is tried on every recipient of its length: what comes out has to be proved.
    """

    def __init__(self, files: Mapping[str, Path], others: Sequence[Path] = ()) -> None:
        self._files = files
        self._others = others
        self._opened: dict[Path, rsa.RSAPrivateKey] = {}

    def unwrap(self, envelope: Envelope) -> Iterator[SessionKey]:
        """Yield what may be the session key, the likeliest first. Raises `EnvelopeError`.

        `PrivateKeyError` for a key that cannot be used.
        """
        known = self._by_alias(envelope)
        if known is not None:
            yield known
            return
        found = [key for path in self._others for key in envelope.unwrap_any(self._key(path))]
        if not found:
            raise EnvelopeError(
                "there is no private key for any recipient of the envelope: name one by --key"
            )
        yield from found

    def _by_alias(self, envelope: Envelope) -> SessionKey | None:
        for recipient in envelope.recipients:
            # An alias ends with its certificate's issuer and serial.
            ending = f":{readable_name(recipient.issuer)}:{recipient.serial}"
            for alias, path in self._files.items():
                if alias.endswith(ending):
                    key = self._key(path)
                    try:
                        return SessionKey(key.decrypt(recipient.encrypted_key, padding.PKCS1v15()))
                    except ValueError:
                        raise EnvelopeError(f"the key of {alias} does not open it") from None
        return None

    def _key(self, path: Path) -> rsa.RSAPrivateKey:
        if path not in self._opened:
            try:
                text = path.read_bytes()
            except OSError as error:
                raise EnvelopeError(f"the key {path} cannot be read: {error.strerror}") from None
            self._opened[path] = load_private_key(text, name=str(path))
        return self._opened[path]
