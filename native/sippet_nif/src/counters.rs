//! What a stack counts. Counters only grow; `Sippet.Transaction.counters/1` reads them.

use std::sync::atomic::{AtomicU64, Ordering};

use sippet_proto::transaction::Gauges;

/// What the engines count.
const ENGINE_NAMES: &[&str] = &["retransmissions", "dropped_deliveries", "absorbed_messages"];

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
            const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// The names of all counters, those of the engines last.
            pub fn names() -> impl Iterator<Item = &'static str> {
                Counters::NAMES.iter().chain(ENGINE_NAMES).copied()
            }

            /// Names and values; `engines` is the sum of all shards.
            pub fn values(&self, engines: Gauges) -> impl Iterator<Item = (&'static str, u64)> {
                let own = [$(self.$name.get()),+];
                let engines = [engines.retransmissions, engines.dropped_deliveries, engines.absorbed_messages];
                Counters::names().zip(own.into_iter().chain(engines))
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
    /// Requests refused, answered 503 or, an ACK, not at all.
    refused_requests,
    /// Callbacks of the core that ended by an exception or a kill.
    core_failures,
    /// Shards that a panic cost their content.
    lost_shards,
);
