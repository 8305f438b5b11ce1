//! Hashes: SHA-512/256 (FIPS 180-4), which digest authentication has (RFC 8760) and OTP's `:crypto` has not, and tags.

use rustler::{Env, NifResult, Term};
use sha2::{Digest, Sha512_256};
use sippet_proto::transaction::KeyMaker;

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

/// `nif_request_tag(secret, identity)`: the 16 characters of a To tag. `secret` has 16 bytes.
#[rustler::nif]
fn nif_request_tag<'a>(env: Env<'a>, secret: Term<'a>, identity: Term<'a>) -> NifResult<Term<'a>> {
    request_tag(env, secret, identity)
}

/// `nif_request_tag` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_request_tag_dirty<'a>(
    env: Env<'a>,
    secret: Term<'a>,
    identity: Term<'a>,
) -> NifResult<Term<'a>> {
    request_tag(env, secret, identity)
}

fn request_tag<'a>(env: Env<'a>, secret: Term<'a>, identity: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let secret = vm
        .bytes(secret.into())
        .and_then(|secret| secret.try_into().ok())
        .ok_or(rustler::Error::BadArg)?;
    let identity = vm.bytes(identity.into()).ok_or(rustler::Error::BadArg)?;
    let tag = KeyMaker::new(secret).request_tag(identity).to_tag();
    Ok(vm.term(vm.copy(&tag)))
}
