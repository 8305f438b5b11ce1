//! Bytes as the choices of a network of engines on virtual time: who calls whom, what is lost, refused, repeated or forged,
//! which core is slow or dies. What must hold is what the simulation judges.

use crate::simulation::random::Random;
use crate::simulation::world::World;

pub fn judge(data: &[u8]) {
    if let Some(told) = attempt(data, false) {
        // Once more, to be read.
        panic!("{}", attempt(data, true).unwrap_or(told));
    }
}

fn attempt(data: &[u8], kept: bool) -> Option<String> {
    let mut random = Random::fed(data);
    let calls = 1 + random.below(8) as u32;
    let mut world = World::new(random, kept);
    world.profile.calls = calls;
    world.run();
    world.told()
}
