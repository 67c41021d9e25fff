"""What a certificate says about itself. Certificates are the peer's word: any bytes give a ``Certificate``."""

import hashlib
import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ..records.flow import Certificate

UNREADABLE = "unreadable"
LONGEST_CHAIN = 16
_MOST_NAMES = 256

# All that cryptography raises for one that it cannot read; the first four name the reason, the others are by accident.
_REFUSALS = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    UnsupportedAlgorithm,
    x509.UnsupportedGeneralNameType,
    NotImplementedError,
    TypeError,
    OverflowError,
)


def certificate(der: bytes) -> Certificate:
    sha256 = hashlib.sha256(der).hexdigest()
    with warnings.catch_warnings():  # of serial numbers and the like, which nobody asked about
        warnings.simplefilter("ignore")
        try:
            parsed = x509.load_der_x509_certificate(der)
            return Certificate(
                subject=parsed.subject.rfc4514_string(),
                issuer=parsed.issuer.rfc4514_string(),
                not_before=int(parsed.not_valid_before_utc.timestamp()),
                not_after=int(parsed.not_valid_after_utc.timestamp()),
                names=_names(parsed),
                sha256=sha256,
            )
        except _REFUSALS:
            return Certificate(UNREADABLE, UNREADABLE, 0, 0, (), sha256)


def _names(parsed: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of the subject alternative names; none where the extensions cannot be read."""
    try:
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, *_REFUSALS):
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName)[:_MOST_NAMES])
