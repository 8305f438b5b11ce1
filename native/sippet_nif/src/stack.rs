//! A stack: its shards, each a lock around an engine, and what the processes around them share.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustler::sys::ErlNifTerm;
use rustler::{Atom, Encoder, Env, LocalPid, Monitor, Resource, ResourceArc};
use sippet_proto::Limits;
use sippet_proto::transaction::{Config, Effect, Engine, Handle, Key, KeyMaker, Surroundings};

use crate::atoms;
use crate::counters::Counters;
use crate::door::Door;
use crate::telemetry;

/// Bits of a handle below the number of its shard, and of both below the attempt: all of it is a small integer of the VM's.
const SHARD_BITS: u32 = 48;
const ATTEMPT_BITS: u32 = 56;

/// How many locks the table of runners is spread over.
const RUNNER_TABLES: usize = 16;

/// How many timers of one shard fire under one hold of its lock.
const TIMERS_A_HOLD: usize = 64;

/// How many effects one call of the Clock may bring.
const EFFECTS_A_CALL: usize = 128;

/// How long a call of the Clock that finds something due goes on to further shards: there may be many, with a little each.
const CALL_TIME: Duration = Duration::from_micros(300);

/// How many transactions one call forgets when the stack has stopped.
const CLEARED_A_CALL: usize = 256;

/// The Clock is not woken for less than this.
const WAKE_SLACK_MS: u64 = 5;

/// How long it sleeps at least, once nothing is due: transactions end at any time, and to wake up for each would cost more than
/// what there is to do.
const MIN_SLEEP_MS: u64 = 10;

/// How long the Clock sleeps at most while anything is open.
const MAX_SLEEP_MS: u64 = 100;

/// Of `Stack::set_ms`: nobody has set the time.
const NOT_SET: u64 = u64::MAX;

/// A transaction as Elixir knows it: shard and handle in one small integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub shard: usize,
    pub handle: Handle,
}

impl Address {
    pub fn to_bits(self) -> u64 {
        (u64::from(self.handle.attempt()) << ATTEMPT_BITS)
            | ((self.shard as u64) << SHARD_BITS)
            | self.handle.to_bits()
    }

    pub fn from_bits(bits: u64) -> Address {
        let handle = Handle::from_bits(bits & ((1 << SHARD_BITS) - 1));
        let shard = (bits >> SHARD_BITS) & ((1 << (ATTEMPT_BITS - SHARD_BITS)) - 1);
        Address {
            shard: shard as usize,
            handle: handle.with_attempt((bits >> ATTEMPT_BITS) as u8),
        }
    }
}

/// An effect and the shard that it came from.
pub type Placed = (usize, Effect);

struct Runner {
    pid: LocalPid,
    address: Address,
    monitor: Monitor,
}

/// What a stack that has no Clock is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// A process that is watched has died, and that has not been told yet.
    Untold,
    /// Something is to be done now.
    Outbox,
    /// There may be something to do at this time.
    Due(u64),
    /// There is nothing.
    Nothing,
}

/// What `Sippet.start_link/1` makes and everything else refers to.
pub struct Stack {
    shards: Box<[Mutex<Engine>]>,
    /// How many transactions are open in all shards.
    open: AtomicIsize,
    pub keys: KeyMaker,
    config: Config,
    pub limits: Limits,
    epoch: Instant,
    /// The time of a simulation, in place of the one since `epoch`.
    set_ms: AtomicU64,
    core: RwLock<Option<Atom>>,
    closed: AtomicBool,
    pub door: Door,
    /// By process: what a monitor's end means.
    runners: ByProcess<Runner>,
    /// By process: what it waits for. A runner may wait, and what waits may send another request meanwhile.
    callers: ByProcess<Vec<Runner>>,
    /// How many ends of processes are being looked into.
    deaths: AtomicUsize,
    /// Effects that arose where no process could carry them out.
    outbox: Mutex<Vec<Placed>>,
    clock: Mutex<Option<LocalPid>>,
    /// When the Clock means to look again.
    wake_at_ms: AtomicU64,
    pub counters: Counters,
}

/// A process identifier as a key: its term's bits, which are the same for the same local process.
type LocalPidKey = ErlNifTerm;

/// A table over several locks.
type ByProcess<T> = Box<[Mutex<HashMap<LocalPidKey, T>>]>;

fn table_of(key: LocalPidKey) -> usize {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key) as usize % RUNNER_TABLES
}

fn watched(pid: &LocalPid, address: Address, monitor: Monitor) -> Runner {
    Runner {
        pid: *pid,
        address,
        monitor,
    }
}

fn key_of(env: Env<'_>, pid: &LocalPid) -> LocalPidKey {
    pid.encode(env).as_c_arg()
}

impl Stack {
    pub fn new(shards: usize, seed: [u8; 16], config: Config, limits: Limits, door: Door) -> Stack {
        let keys = KeyMaker::new(seed);
        Stack {
            shards: (0..shards.max(1))
                .map(|_| Mutex::new(Engine::new(config, keys, 0)))
                .collect(),
            open: AtomicIsize::new(0),
            keys,
            config,
            limits,
            epoch: Instant::now(),
            set_ms: AtomicU64::new(NOT_SET),
            core: RwLock::new(None),
            closed: AtomicBool::new(false),
            door,
            runners: (0..RUNNER_TABLES)
                .map(|_| Mutex::new(HashMap::new()))
                .collect(),
            callers: (0..RUNNER_TABLES)
                .map(|_| Mutex::new(HashMap::new()))
                .collect(),
            deaths: AtomicUsize::new(0),
            outbox: Mutex::new(Vec::new()),
            clock: Mutex::new(None),
            wake_at_ms: AtomicU64::new(u64::MAX),
            counters: Counters::default(),
        }
    }

    /// Milliseconds since the stack was made, or as they were set.
    pub fn now(&self) -> u64 {
        let set = self.set_ms.load(Ordering::Relaxed);
        if set != NOT_SET {
            return set;
        }
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets the time, which stands still from now on but for this.
    pub fn set_time(&self, now_ms: u64) {
        self.set_ms.store(now_ms, Ordering::Relaxed);
    }

    /// What `tick` is next wanted for, of a stack whose time is set.
    pub fn outlook(&self, env: Env<'_>) -> Outlook {
        let alive = |watched: &Runner| watched.pid.is_alive(env);
        let runners = self.runners.iter().all(|table| {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.values().all(alive)
        });
        let callers = self.callers.iter().all(|table| {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.values().flatten().all(alive)
        });
        // In this order: a death leaves the tables first.
        if !runners || !callers || self.deaths.load(Ordering::Acquire) > 0 {
            return Outlook::Untold;
        }
        let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if !outbox.is_empty() {
            return Outlook::Outbox;
        }
        (0..self.shards.len())
            .filter_map(|shard| self.look(shard, Engine::next_deadline)?)
            .min()
            .map_or(Outlook::Nothing, Outlook::Due)
    }

    /// The same in microseconds: when what the core is owed could be taken.
    pub fn now_us(&self) -> u64 {
        let set = self.set_ms.load(Ordering::Relaxed);
        if set != NOT_SET {
            return set.saturating_mul(1_000);
        }
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The core's module.
    pub fn core(&self) -> Option<Atom> {
        *self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_core(&self, module: Atom) {
        *self.core.write().unwrap_or_else(PoisonError::into_inner) = Some(module);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The shard of a Call-ID.
    pub fn shard_of(&self, call: Key) -> usize {
        call.shard(self.shards.len())
    }

    /// Locks a shard. One that a panic left behind starts anew: its content cannot be trusted.
    fn lock(&self, shard: usize) -> Option<MutexGuard<'_, Engine>> {
        let lock = self.shards.get(shard)?;
        Some(lock.lock().unwrap_or_else(|poisoned| {
            let mut engine = poisoned.into_inner();
            self.account(engine.len(), 0);
            *engine = Engine::new(self.config, self.keys, self.now());
            lock.clear_poison();
            self.counters.lost_shards.add(1);
            engine
        }))
    }

    /// Runs one step on a shard; none if there is no such shard.
    pub fn step<R>(
        &self,
        env: Env<'_>,
        shard: usize,
        effects: &mut Vec<Effect>,
        run: impl FnOnce(&mut Engine, u64, &mut Vec<Effect>) -> R,
    ) -> Option<R> {
        let now_us = self.now_us();
        let now = now_us / 1_000;
        let mut engine = self.lock(shard)?;
        let before = self.surround(&mut engine, now_us);
        let result = run(&mut engine, now, effects);
        self.account(before, engine.len());
        let deadline = engine.next_deadline();
        drop(engine);
        if let Some(deadline) = deadline {
            self.wake_for(env, now, deadline);
        }
        Some(result)
    }

    /// Tells a shard what is around it, and how many transactions it holds itself.
    fn surround(&self, engine: &mut Engine, now_us: u64) -> usize {
        let held = engine.len();
        let open = usize::try_from(self.open.load(Ordering::Relaxed)).unwrap_or(0);
        engine.set_surroundings(Surroundings {
            elsewhere: open.saturating_sub(held),
            stamp_us: now_us,
            listening: telemetry::listening(),
        });
        held
    }

    /// Keeps the sum of what the shards hold.
    fn account(&self, before: usize, after: usize) {
        if before != after {
            let change = after.wrapping_sub(before).cast_signed();
            self.open.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Looks at a shard.
    pub fn look<R>(&self, shard: usize, run: impl FnOnce(&Engine) -> R) -> Option<R> {
        self.lock(shard).map(|engine| run(&engine))
    }

    /// Wakes the Clock if it would sleep past a deadline.
    fn wake_for(&self, env: Env<'_>, now: u64, deadline: u64) {
        let planned = self.wake_at_ms.load(Ordering::Relaxed);
        let due = deadline.max(now).min(now + MAX_SLEEP_MS);
        if due.saturating_add(WAKE_SLACK_MS) < planned {
            self.wake_at_ms.store(due, Ordering::Relaxed);
            self.wake(env);
        }
    }

    fn wake(&self, env: Env<'_>) {
        let clock = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clock) = clock {
            // A Clock that has just died is started again and looks first.
            let _ = env.send(&clock, atoms::get().wake);
        }
    }

    /// One round of the calling process, which is the Clock: what is due, and how long it may sleep; 0 if there is more.
    pub fn tick(&self, clock: LocalPid, from: usize) -> (Vec<Placed>, Option<u64>, usize) {
        // Who sets the time knows when to look.
        if self.set_ms.load(Ordering::Relaxed) == NOT_SET {
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
        }
        // What arms a timer from here on finds no plan, and wakes.
        self.wake_at_ms.store(u64::MAX, Ordering::Relaxed);
        let mut found =
            std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        let mut effects = Vec::new();
        let begun = Instant::now();
        let mut next = None;
        let mut open = false;
        let mut worked = false;
        for turn in 0..self.shards.len() {
            let shard = (from + turn) % self.shards.len();
            let Some(mut engine) = self.lock(shard) else {
                continue;
            };
            let now_us = self.now_us();
            let now = now_us / 1_000;
            let before = self.surround(&mut engine, now_us);
            worked |= engine.next_deadline().is_some_and(|due| due <= now);
            let more = engine.handle_timeout(now, TIMERS_A_HOLD, &mut effects);
            self.account(before, engine.len());
            let deadline = engine.next_deadline();
            open |= !engine.is_empty();
            drop(engine);
            found.extend(effects.drain(..).map(|effect| (shard, effect)));
            let late = worked && begun.elapsed() >= CALL_TIME;
            if more || late || found.len() >= EFFECTS_A_CALL {
                return (found, Some(0), (shard + 1) % self.shards.len());
            }
            next = match (next, deadline) {
                (Some(a), Some(b)) => Some(std::cmp::min::<u64>(a, b)),
                (a, b) => a.or(b),
            };
        }
        let now = self.now();
        let sleep = match next {
            Some(deadline) => {
                let sleep = deadline.saturating_sub(now);
                Some(sleep.clamp(MIN_SLEEP_MS, MAX_SLEEP_MS))
            }
            None if open => Some(MAX_SLEEP_MS),
            None => None,
        };
        if let Some(sleep) = sleep {
            self.wake_at_ms.fetch_min(now + sleep, Ordering::Relaxed);
        }
        (found, sleep, 0)
    }

    /// Forgets some of what is open, and how to tell those who wait for it; true when nothing is left.
    pub fn empty(&self, placed: &mut Vec<Placed>) -> bool {
        let mut effects = Vec::new();
        // Their tables and wheels first, of one shard a call: see `Engine::clear`.
        for shard in 0..self.shards.len() {
            if let Some(mut engine) = self.lock(shard)
                && engine.held() > 0
            {
                engine.clear(0, &mut effects);
                return false;
            }
        }
        let mut budget = CLEARED_A_CALL;
        (0..self.shards.len()).all(|shard| {
            let Some(mut engine) = self.lock(shard) else {
                return true;
            };
            if engine.is_empty() {
                return true;
            }
            let before = engine.len();
            let done = engine.clear(budget, &mut effects);
            budget = budget.saturating_sub(before - engine.len());
            self.account(before, engine.len());
            drop(engine);
            placed.extend(effects.drain(..).map(|effect| (shard, effect)));
            done
        })
    }

    /// Remembers which transaction a process runs for.
    pub fn add_runner(&self, env: Env<'_>, pid: &LocalPid, address: Address, monitor: Monitor) {
        let key = key_of(env, pid);
        self.runner_table(key)
            .insert(key, watched(pid, address, monitor));
    }

    /// Forgets a process that has come to its end in good order.
    pub fn remove_runner(&self, env: Env<'_>, pid: &LocalPid) -> Option<Monitor> {
        let key = key_of(env, pid);
        self.runner_table(key)
            .remove(&key)
            .map(|runner| runner.monitor)
    }

    fn runner_table(&self, key: LocalPidKey) -> MutexGuard<'_, HashMap<LocalPidKey, Runner>> {
        self.runners[table_of(key)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers which transaction a process waits for.
    pub fn add_caller(&self, env: Env<'_>, pid: &LocalPid, address: Address, monitor: Monitor) {
        let key = key_of(env, pid);
        self.caller_table(key)
            .entry(key)
            .or_default()
            .push(watched(pid, address, monitor));
    }

    /// Forgets that a process waits for a transaction.
    pub fn remove_caller(&self, env: Env<'_>, pid: &LocalPid, address: Address) -> Option<Monitor> {
        self.take_caller(key_of(env, pid), |caller| caller.address == address)
            .map(|caller| caller.monitor)
    }

    fn take_caller(&self, key: LocalPidKey, is_meant: impl Fn(&Runner) -> bool) -> Option<Runner> {
        let mut table = self.caller_table(key);
        let callers = table.get_mut(&key)?;
        let index = callers.iter().position(is_meant)?;
        let caller = callers.swap_remove(index);
        if callers.is_empty() {
            table.remove(&key);
        }
        Some(caller)
    }

    fn caller_table(&self, key: LocalPidKey) -> MutexGuard<'_, HashMap<LocalPidKey, Vec<Runner>>> {
        self.callers[table_of(key)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn process_died(&self, env: Env<'_>, pid: LocalPid, monitor: Monitor) {
        let caller = self.take_caller(key_of(env, &pid), |caller| caller.monitor == monitor);
        let Some(Runner { address, .. }) = caller else {
            return self.runner_died(env, pid);
        };
        let Address { shard, handle } = address;
        let mut effects = Vec::new();
        self.step(env, shard, &mut effects, |engine, now, effects| {
            engine.abandon(now, handle, effects);
        });
        self.post(env, shard, effects);
    }

    /// Leaves effects to the Clock.
    fn post(&self, env: Env<'_>, shard: usize, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        outbox.extend(effects.into_iter().map(|effect| (shard, effect)));
        drop(outbox);
        self.wake(env);
    }

    fn runner_died(&self, env: Env<'_>, pid: LocalPid) {
        let key = key_of(env, &pid);
        let Some(runner) = self.runner_table(key).remove(&key) else {
            return;
        };
        self.counters.core_failures.add(1);
        let Address { shard, handle } = runner.address;
        let mut effects = Vec::new();
        self.step(env, shard, &mut effects, |engine, now, effects| {
            engine.handle_runner_failure(now, handle, effects);
        });
        self.post(env, shard, effects);
    }
}

#[rustler::resource_impl]
impl Resource for Stack {
    const IMPLEMENTS_DOWN: bool = true;

    /// A runner died inside the core's callback, or a process that waits. What is to be done about it waits for the Clock.
    fn down<'a>(&'a self, env: Env<'a>, pid: LocalPid, monitor: Monitor) {
        self.deaths.fetch_add(1, Ordering::Relaxed);
        // This is called from C, which a panic must not reach.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.process_died(env, pid, monitor);
        }));
        self.deaths.fetch_sub(1, Ordering::Release);
    }
}

/// The stack as a term holds it.
pub type StackArc = ResourceArc<Stack>;
