//! What servers and connections say went wrong, in our words.

use super::link::Server;
use super::settings::Settings;
use crate::queue::QueueError;
use std::io;

/// Oldest version that can do all we ask for.
const VERSION_MIN: (u32, u32) = (7, 0);

/// A connection that failed.
pub(super) fn of_io(error: &io::Error, is_greeting: bool, is_tls: bool) -> QueueError {
    use io::ErrorKind::{ConnectionReset, InvalidData, TimedOut, UnexpectedEof};
    let (what, cure) = match error.kind() {
        InvalidData if is_tls && error.to_string().contains("certificate") => (
            format!("its certificate is not trusted: {error}"),
            "?tls-ca=FILE with the certificate of its authority",
        ),
        InvalidData if is_tls => {
            ("it does not speak TLS".to_owned(), "redis://, or the server's TLS port")
        }
        UnexpectedEof | ConnectionReset | InvalidData if is_greeting && !is_tls => (
            "it closed the connection at the first word: it may speak TLS only".to_owned(),
            "rediss://, or redis-cli ping",
        ),
        TimedOut if is_greeting && is_tls => (
            "it does not answer: it may not speak TLS".to_owned(),
            "redis://, or the server's TLS port",
        ),
        TimedOut => {
            ("it does not answer".to_owned(), "redis-cli ping, with the same host and port")
        }
        _ => (crate::error::plain_io(error), "redis-server, or another host and port"),
    };
    QueueError::Unreachable { what, cure: cure.to_owned() }
}

/// A greeting that was answered with an error.
pub(super) fn of_greeting(text: &str, settings: &Settings) -> QueueError {
    let not_allowed = |what: &str, cure: &str| QueueError::NotAllowed {
        what: what.to_owned(),
        cure: cure.to_owned(),
    };
    let word = text.split(' ').next().unwrap_or_default();
    match word {
        "NOAUTH" => not_allowed(
            "it wants a password",
            "FAAS_REDIS_PASSWORD or FAAS_REDIS_PASSWORD_FILE, in the environment",
        ),
        "WRONGPASS" => {
            let user = settings.user.as_deref().unwrap_or("default");
            not_allowed(
                &format!("it refused the password of user {user}"),
                "FAAS_REDIS_PASSWORD, or redis://USER@host",
            )
        }
        "ERR" if text.contains("without any password configured") => not_allowed(
            "a password was given and it has none",
            "the command without FAAS_REDIS_PASSWORD",
        ),
        "NOPERM" => no_permission(text),
        "LOADING" | "MASTERDOWN" => QueueError::Unreachable {
            what: "it is not ready yet".to_owned(),
            cure: "the same in a moment".to_owned(),
        },
        "ERR" if text.contains("DB index") => QueueError::Refused {
            what: format!("it has no database {}", settings.database),
            alternative: "redis://host:port/0".to_owned(),
        },
        _ => QueueError::Unreachable {
            what: format!("it answered: {text}"),
            cure: "a Redis server of version 7 or later".to_owned(),
        },
    }
}

/// What the server said of itself must be what we need.
pub(super) fn check_server(server: &Server, settings: &Settings) -> Result<(), QueueError> {
    if server.is_replica {
        let others = settings.servers.len() > 1;
        let cure = match others {
            true => "promote one of them (REPLICAOF NO ONE), or wait",
            false => "the primary's address (redis-cli info replication)",
        };
        return Err(QueueError::Unreachable {
            what: "it is a read-only replica".to_owned(),
            cure: cure.to_owned(),
        });
    }
    if server.version < VERSION_MIN {
        let (major, minor) = server.version;
        return Err(QueueError::Refused {
            what: format!("Redis {major}.{minor} is too old"),
            alternative: "Redis 7.0 or later".to_owned(),
        });
    }
    Ok(())
}

fn no_permission(text: &str) -> QueueError {
    QueueError::NotAllowed {
        what: format!("the server says: {text}"),
        cure: "an ACL with ~* &* +@all, or at least the commands named in docs/redis.md".to_owned(),
    }
}

/// A command that was answered with an error. `None` when it may go well
/// later, or elsewhere.
pub(super) fn of_answer(error: &redis::ServerError) -> Option<QueueError> {
    let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
    let has = |word: &str| text.contains(word);
    if [
        "LOADING",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "READONLY",
        "NOSCRIPT",
        "MOVED",
        "BUSY",
        "NOREPLICAS",
        "MISCONF",
    ]
    .iter()
    .any(|word| has(word))
    {
        return None;
    }
    // The last is what a script says whose user may not do what it does.
    Some(if has("NOPERM") || has("NOAUTH") || has("can't run this command") {
        no_permission(text.trim())
    } else if has("NOGROUP") || has("no such key") || has("UNBLOCKED") {
        QueueError::NoSuchQueue
    } else if has("OOM") {
        QueueError::Limit {
            limit: "the server's maxmemory".to_owned(),
            cure: "redis-cli config set maxmemory, or taking something from its queues".to_owned(),
        }
    } else if has("CROSSSLOT") {
        QueueError::Refused {
            what: "its queues are on different nodes of the cluster".to_owned(),
            alternative: "names with the same {tag} in them".to_owned(),
        }
    } else if has("WRONGTYPE") {
        QueueError::Foreign {
            what: "the key of that name holds something else than a stream".to_owned(),
            cure: "another name, or redis-cli type KEY".to_owned(),
        }
    } else {
        QueueError::Unreachable {
            what: format!("the server says: {}", text.trim()),
            cure: "redis-cli".to_owned(),
        }
    })
}
