//! Engines come and go.

use rustler::schedule::consume_timeslice;
use rustler::{Atom, Env, NifResult, ResourceArc, Term};
use sippet_proto::transaction::{Config, Timers};

use super::effects_term;
use crate::atoms;
use crate::door::Door;
use crate::message::stack_limits;
use crate::stack::{Stack, StackArc};
use crate::term::{Raw, Vm, trim_memory};

/// `engine_new(shards, seed, config, limits, max_start_delay_ms)`: a stack's engine. `config` is a tuple of integers and booleans.
#[rustler::nif]
fn engine_new<'a>(
    env: Env<'a>,
    shards: usize,
    seed: Term<'a>,
    config: Term<'a>,
    bounds: Term<'a>,
    max_start_delay_ms: u64,
) -> NifResult<StackArc> {
    let vm = Vm::new(env);
    let bad = rustler::Error::BadArg;
    let seed = vm
        .bytes(seed.into())
        .and_then(|seed| seed.try_into().ok())
        .ok_or(bad)?;
    let bad = rustler::Error::BadArg;
    let config = self::config(vm, config.into()).ok_or(bad)?;
    let bad = rustler::Error::BadArg;
    let limits = stack_limits(vm, bounds.into()).ok_or(bad)?;
    Ok(ResourceArc::new(Stack::new(
        shards.min(256),
        seed,
        config,
        limits,
        Door::new(max_start_delay_ms),
    )))
}

fn config<'a>(vm: Vm<'a>, tuple: Raw<'a>) -> Option<Config> {
    let fields = vm.tuple_of::<13>(tuple)?;
    let number = |index: usize| u64::try_from(vm.number(*fields.get(index)?)?).ok();
    let flag = |index: usize| Some(*fields.get(index)? == atoms::get().true_.into());
    Some(Config {
        timers: Timers {
            t1_ms: number(0)?,
            t2_ms: number(1)?,
            t4_ms: number(2)?,
            timer_d_ms: number(3)?,
            trying_ms: number(4)?,
            proceeding_ms: number(5)?,
            invite_watchdog_ms: number(6)?,
            runner_ms: number(7)?,
            gate_ms: number(8)?,
        },
        max_transactions: usize::try_from(number(9)?).ok()?,
        reject_merged: flag(10)?,
        deliver_stray_responses: flag(11)?,
        max_unreliable_bytes: usize::try_from(number(12)?).ok()?,
    })
}

/// `engine_set_core(stack, module)`: from now on deliveries go to this module.
#[rustler::nif]
fn engine_set_core(stack: StackArc, module: Atom) -> Atom {
    stack.set_core(module);
    atoms::get().ok
}

/// `engine_close(stack)`: every later call answers `{:error, :stopped}`.
#[rustler::nif]
fn engine_close(stack: StackArc) -> Atom {
    stack.close();
    atoms::get().ok
}

/// `engine_trim()`: gives memory that is free back to the system.
#[rustler::nif(schedule = "DirtyCpu")]
fn engine_trim() -> Atom {
    trim_memory();
    atoms::get().ok
}

/// `engine_closed(stack)`: the stack has stopped.
#[rustler::nif]
fn engine_closed(stack: StackArc) -> bool {
    stack.is_closed()
}

/// `engine_drain(stack, draining)`: from now on requests outside of dialogs are refused, or no more.
#[rustler::nif]
fn engine_drain(stack: StackArc, draining: bool) -> Atom {
    stack.door.drain(draining);
    atoms::get().ok
}

/// `engine_crowd(stack, level)`: from now on requests are refused for want of processes: 0 none, 1 those outside of dialogs, 2 all.
#[rustler::nif]
fn engine_crowd(stack: StackArc, level: u8) -> Atom {
    stack.door.crowd(level);
    atoms::get().ok
}

/// `engine_empty(stack)`: forgets some of what is open: `{:more | :done, effects}`, which wake those who wait.
#[rustler::nif]
fn engine_empty(env: Env<'_>, stack: StackArc) -> Term<'_> {
    let vm = Vm::new(env);
    // Calls that take their time and count for one reduction each would keep a scheduler to themselves.
    consume_timeslice(env, 100);
    let mut placed = Vec::new();
    let left = if stack.empty(&mut placed) {
        atoms::get().done
    } else {
        atoms::get().more
    };
    vm.term(vm.tuple([left.into(), effects_term(vm, &placed)]))
}
