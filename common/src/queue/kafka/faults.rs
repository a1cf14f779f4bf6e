//! What Kafka's errors mean for a queue, in words that help.

use crate::queue::QueueError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The code of an error, for all its kinds.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The text of a code: `unknown topic or partition`.
pub(super) fn words(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    let said = text.split_once(" (").map_or(text.as_str(), |(_, rest)| rest);
    let said = said.strip_suffix(')').unwrap_or(said);
    let said =
        ["Local: ", "Broker: "].iter().find_map(|who| said.strip_prefix(who)).unwrap_or(said);
    small_first(said)
}

/// A line of librdkafka without its own name for the server and without how
/// long it took: `connect to ipv4#127.0.0.1:9092 failed: Connection refused`.
pub(super) fn plain(line: &str) -> String {
    let line = line.split(" (after ").next().unwrap_or(line);
    let line = line.rsplit_once("]: ").map_or(line, |(_, rest)| rest);
    small_first(line.trim())
}

fn small_first(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Whether the same may succeed a moment later.
pub(super) fn passes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::BrokerTransportFailure
            | C::AllBrokersDown
            | C::DestroyBroker
            | C::OperationTimedOut
            | C::RequestTimedOut
            | C::TimedOutQueue
            | C::WaitingForCoordinator
            | C::CoordinatorLoadInProgress
            | C::CoordinatorNotAvailable
            | C::NotCoordinator
            | C::NotController
            | C::LeaderNotAvailable
            | C::NotLeaderForPartition
            | C::NetworkException
            | C::RebalanceInProgress
            | C::IllegalGeneration
            | C::UnknownMemberId
            | C::FencedMemberEpoch
            | C::StaleMemberEpoch
            | C::UnstableOffsetCommit
            | C::ConcurrentTransactions
            | C::Retry
            | C::InProgress
            | C::PreviousInProgress
            | C::Outdated
            | C::AssignmentLost
            | C::PollExceeded
            | C::ThrottlingQuotaExceeded
            | C::MemberIdRequired
            | C::Resolve
    )
}

/// Whether it says that there is no such topic.
pub(super) fn is_missing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::UnknownTopic | C::UnknownTopicOrPartition | C::UnknownPartition | C::UnknownTopicId
    )
}

/// What a code means for the queue at `url`.
pub(super) fn of_code(code: RDKafkaErrorCode, url: &str) -> QueueError {
    use RDKafkaErrorCode as C;
    let said = words(code);
    match code {
        code if is_missing(code) => QueueError::Removed { name: url.to_owned() },
        C::TopicAlreadyExists => QueueError::Exists,
        C::TopicAuthorizationFailed
        | C::GroupAuthorizationFailed
        | C::ClusterAuthorizationFailed
        | C::TransactionalIdAuthorizationFailed
        | C::TopicDeletionDisabled
        | C::SecurityDisabled => QueueError::NotAllowed {
            what: said,
            cure: "ask whoever runs the broker for the right (kafka-acls.sh --add), or give \
                   another sasl.username"
                .to_owned(),
        },
        C::InconsistentGroupProtocol | C::UnsupportedAssignor | C::UnknownProtocol => {
            QueueError::Refused {
                what: "members of its group share partitions in another way".to_owned(),
                alternative: format!("{url}?group=ANOTHER-NAME"),
            }
        }
        C::InvalidReplicationFactor => QueueError::Refused {
            what: "there are fewer brokers than replicas".to_owned(),
            alternative: format!("{url}?replicas=1"),
        },
        C::MessageSizeTooLarge | C::InvalidMessageSize | C::MessageBatchTooLarge => {
            QueueError::Refused {
                what: "a record is larger than its topic takes".to_owned(),
                alternative: "a topic with a larger max.message.bytes, or a smaller body"
                    .to_owned(),
            }
        }
        C::InvalidTopic | C::InvalidPartitions | C::InvalidConfig | C::PolicyViolation => {
            QueueError::Refused { what: said, alternative: "another name or other options".into() }
        }
        _ => unreachable(said, url),
    }
}

/// What an error means for the queue at `url`.
pub(super) fn of(error: &KafkaError, url: &str) -> QueueError {
    match (error, code(error)) {
        (KafkaError::ClientCreation(what), _) if what.contains("sasl.password") => {
            QueueError::Refused {
                what: small_first(what),
                alternative: "FAAS_KAFKA_PASSWORD or FAAS_KAFKA_PASSWORD_FILE, in the environment"
                    .to_owned(),
            }
        }
        (KafkaError::ClientConfig(_, what, key, _), _) => QueueError::Refused {
            what: format!("{key}: {}", small_first(what)),
            alternative: "an option of librdkafka (CONFIGURATION.md of that project)".to_owned(),
        },
        (_, Some(code)) => of_code(code, url),
        (KafkaError::ClientCreation(what), None) => QueueError::Refused {
            what: small_first(what),
            alternative: "other options after the ? of the URL".to_owned(),
        },
        (error, None) => unreachable(error.to_string(), url),
    }
}

fn unreachable(what: String, url: &str) -> QueueError {
    QueueError::Unreachable {
        what,
        cure: format!("see whether its brokers run: faas-queue ls {url}"),
    }
}

/// Why no server answered, from the last thing that librdkafka said.
pub(super) fn no_answer(last: Option<(RDKafkaErrorCode, String)>, servers: &str) -> QueueError {
    let (code, said) = last.unwrap_or((RDKafkaErrorCode::OperationTimedOut, "it is silent".into()));
    let secured = said.contains("security.protocol") || said.contains("SSL");
    let cure = match code {
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::UnsupportedSASLMechanism => {
            "?security.protocol=SASL_SSL&sasl.mechanism=PLAIN&sasl.username=NAME after the URL, \
             and FAAS_KAFKA_PASSWORD"
        }
        RDKafkaErrorCode::SSL => "?ssl.ca.location=FILE with the authority that signed its key",
        RDKafkaErrorCode::Resolve => "another name or the address of a broker",
        _ if secured => "?security.protocol=SSL (or SASL_SSL, or PLAINTEXT) after the URL",
        _ => "start a broker there, or name another: kafka://HOST:PORT/TOPIC",
    };
    if matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
    {
        return QueueError::NotAllowed {
            what: format!("{servers}: {said}"),
            cure: cure.to_owned(),
        };
    }
    QueueError::Unreachable { what: format!("{servers}: {said}"), cure: cure.to_owned() }
}

/// Whether trying again cannot help: who we are or how we speak is wrong.
pub(super) fn is_hopeless(last: Option<&(RDKafkaErrorCode, String)>) -> bool {
    use RDKafkaErrorCode as C;
    last.is_some_and(|(code, said)| {
        let wrong = matches!(
            code,
            C::Authentication | C::SaslAuthenticationFailed | C::UnsupportedSASLMechanism | C::SSL
        );
        wrong || said.contains("security.protocol")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_plainly() {
        assert_eq!(words(RDKafkaErrorCode::AllBrokersDown), "all broker connections are down");
        let line = "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused \
                    (after 0ms in state CONNECT)";
        assert!(plain(line).ends_with("failed: Connection refused"));
        assert!(is_missing(RDKafkaErrorCode::UnknownTopicOrPartition));
    }
}
