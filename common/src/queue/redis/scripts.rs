//! What the server does in one step, as scripts.

use redis::{Cmd, cmd};
use std::sync::LazyLock;

/// One script.
pub(super) struct Script {
    pub(super) source: &'static str,
    hash: LazyLock<String>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: Script = Script {
            source: include_str!(concat!("scripts/", $file)),
            hash: LazyLock::new(|| {
                redis::Script::new(include_str!(concat!("scripts/", $file))).get_hash().to_owned()
            }),
        };
    };
}

script!(ADDED, "added.lua");
script!(SETTLE, "settle.lua");
script!(GATHER, "gather.lua");
script!(JOIN, "join.lua");
script!(ADOPT, "adopt.lua");
script!(CLAIM, "claim.lua");
script!(LEAVE, "leave.lua");
script!(CREATE, "create.lua");
script!(STAT, "stat.lua");
script!(BACK, "back.lua");
script!(AHEAD, "ahead.lua");

/// All that are called by their hash: loaded whenever a connection begins.
pub(super) static ALL: [&Script; 10] =
    [&SETTLE, &GATHER, &JOIN, &ADOPT, &CLAIM, &LEAVE, &CREATE, &STAT, &BACK, &AHEAD];

impl Script {
    /// What it is called by.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// A call of it on these keys; arguments follow.
    pub(super) fn call<K: redis::ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(self.hash.as_str()).arg(keys.len());
        keys.iter().for_each(|key| _ = call.arg(key));
        call
    }
}
