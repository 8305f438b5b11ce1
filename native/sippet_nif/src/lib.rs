//! The NIF behind `Sippet.Native`: decodes arguments, calls `sippet_proto`, encodes the answer.
//!
//! | module | what |
//! |---|---|
//! | `message` | the functions of the message layer |
//! | `extension` | header fields alone, typed on demand |
//! | `hash` | SHA-512/256, which OTP does not have |
//! | `sdp` | session descriptions |
//! | `engine` | the functions of the transaction engine |
//! | `framer` | messages out of streams |
//! | `websocket` | messages out of WebSocket frames, and into them |
//! | `stack`, `door` | shards, runners and outbox of a stack, who is let in |
//! | `telemetry` | what somebody listens for |
//! | `flow`, `counters` | addresses as terms, what is counted |
//! | `encode`, `decode` | messages as terms, terms as messages |
//! | `error` | errors as terms |
//! | `atoms` | every atom, made when the library is loaded |
//! | `term` | the VM's interface; all unsafe code |
//! | `words` | strings that need not be made |
//! | `scratch` | memory that a thread keeps between calls |

mod atoms;
mod counters;
mod decode;
mod door;
mod encode;
mod engine;
mod error;
mod extension;
mod flow;
mod framer;
mod hash;
mod message;
mod scratch;
mod sdp;
mod stack;
mod telemetry;
mod term;
mod websocket;
mod words;

rustler::init!("Elixir.Sippet.Native", load = load);

fn load<'a>(env: rustler::Env<'a>, words: rustler::Term<'a>) -> bool {
    atoms::load(env)
        && atoms::sdp::load(env)
        && words::Words::are_ours(term::Vm::new(env), words.into())
}

/// The version of this library, the same as that of the application it was built with.
#[rustler::nif]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
