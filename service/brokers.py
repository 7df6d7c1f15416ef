"""The settings of the brokers, become a connection: the one place that reads certificates."""

import ssl

from service.settings import PREFIX, MisconfiguredError, StreamSettings, read_stream_settings
from service.stream.connection import Connection


def kafka_connection(settings: StreamSettings | None = None) -> Connection:
    """How to reach the brokers, by the environment variables unless settings are given. MisconfiguredError."""
    chosen = settings or read_stream_settings()
    return Connection(
        bootstrap=chosen.kafka_bootstrap,
        client_id=chosen.kafka_client_id,
        topic_prefix=chosen.kafka_topic_prefix,
        security_protocol=chosen.kafka_security_protocol,
        sasl_mechanism=chosen.kafka_sasl_mechanism,
        sasl_username=chosen.kafka_sasl_username,
        sasl_password=chosen.kafka_sasl_password.get_secret_value(),
        ssl_context=_ssl_context(chosen),
    )


def _ssl_context(settings: StreamSettings) -> ssl.SSLContext | None:
    if "SSL" not in settings.kafka_security_protocol.split("_"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile is not None:
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    except OSError as error:
        raise MisconfiguredError(
            f"{PREFIX}KAFKA_SSL_CAFILE, _CERTFILE or _KEYFILE: expected PEM files that can be read ({error})"
        ) from error
    return context
