//! SHA-512/256 (FIPS 180-4), which digest authentication has (RFC 8760) and OTP's `:crypto` has not.

use rustler::{Env, NifResult, Term};
use sha2::{Digest, Sha512_256};

use crate::term::Vm;

/// `nif_sha512_256(data)`: the 32 bytes of the hash.
#[rustler::nif]
fn nif_sha512_256<'a>(env: Env<'a>, data: Term<'a>) -> NifResult<Term<'a>> {
    sha512_256(env, data)
}

/// `nif_sha512_256` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_sha512_256_dirty<'a>(env: Env<'a>, data: Term<'a>) -> NifResult<Term<'a>> {
    sha512_256(env, data)
}

fn sha512_256<'a>(env: Env<'a>, data: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let bytes = vm.bytes(data.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(vm.copy(&Sha512_256::digest(bytes))))
}
