//! The NIF behind `Sippet.Native`: decodes arguments, calls `sippet_proto`, encodes the answer.

rustler::init!("Elixir.Sippet.Native");

/// The version of this library, the same as that of the application it was built with.
#[rustler::nif]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
