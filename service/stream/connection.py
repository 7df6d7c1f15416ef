"""How to reach the brokers: one set of values from which every client is made, so that none forgets its password."""

from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Literal

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from service.failures import ForeseenError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class StreamError(ForeseenError):
    """The brokers cannot be used as they are. The message is one line for a person: what, where, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the brokers are and who we are there.

    `topic_prefix` stands before every topic name of the contract, so that installations can share a cluster.
    `ssl_context` is None where `security_protocol` has no SSL, `sasl_mechanism` None where it has no SASL.
    """

    bootstrap: str
    client_id: str
    topic_prefix: str = ""
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_context: SSLContext | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of an aiokafka client."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context,
        }
        if self.sasl_mechanism is not None:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return arguments

    def security(self) -> BaseSecurity:
        """The same for a FastStream broker."""
        use_ssl = self.security_protocol in {"SSL", "SASL_SSL"}
        kind = {
            "PLAIN": SASLPlaintext,
            "SCRAM-SHA-256": SASLScram256,
            "SCRAM-SHA-512": SASLScram512,
        }.get(self.sasl_mechanism or "")
        if kind is None:
            return BaseSecurity(ssl_context=self.ssl_context, use_ssl=use_ssl)
        return kind(self.sasl_username, self.sasl_password, ssl_context=self.ssl_context, use_ssl=use_ssl)

    def topic(self, name: str) -> str:
        """The name on the brokers of a topic of the contract."""
        return self.topic_prefix + name

    def contract_name(self, topic: str) -> str:
        """The name in the contract of a topic on the brokers."""
        return topic.removeprefix(self.topic_prefix)

    def cluster_name(self, cluster_id: str) -> str:
        """Under which name positions are kept. Another prefix means other topics, so it takes up nobody's positions."""
        return f"{self.topic_prefix}@{cluster_id}" if self.topic_prefix else cluster_id

    def unreachable(self, error: Exception) -> str:
        """What to tell a person when no broker answers."""
        return (
            f"no Kafka broker answers at {self.bootstrap} by {self.security_protocol} ({type(error).__name__}); "
            "set EXPORTGATE_KAFKA_BOOTSTRAP, and EXPORTGATE_KAFKA_SECURITY_PROTOCOL with what belongs to it"
        )
