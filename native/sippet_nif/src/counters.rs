//! What a stack counts. Counters only grow; `Sippet.Transaction.count/1` and telemetry read them.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        /// All of them.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Their values, in the order of the names.
            pub fn values(&self) -> Vec<u64> {
                vec![$(self.$name.get()),+]
            }
        }
    };
}

counters!(
    /// Requests that were parsed.
    received_requests,
    /// Responses that were parsed.
    received_responses,
    /// Datagrams that hold nothing but line ends.
    keep_alives,
    /// Bytes that are no message, and bad messages, answered or not.
    rejected_messages,
    /// Answers given without state.
    stateless_replies,
    /// Responses that match no transaction.
    stray_responses,
    /// Requests refused because as many transactions are open as may be.
    refused_requests,
    /// Callbacks of the core that ended by an exception or a kill.
    core_failures,
    /// Shards that a panic cost their content.
    lost_shards,
);
