//! The only source of chance: splitmix64, so that a seed is a run; or bytes, as long as there are any, so that a fuzzer
//! chooses.

pub struct Random {
    state: u64,
    bytes: std::vec::IntoIter<u8>,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random {
            state: seed.wrapping_mul(0xd134_2543_de82_ef95),
            bytes: Vec::new().into_iter(),
        }
    }

    /// The choices that these bytes are, and after them those of a seed.
    pub fn fed(bytes: &[u8]) -> Random {
        Random {
            bytes: Vec::from(bytes).into_iter(),
            ..Random::new(0)
        }
    }

    pub fn next(&mut self) -> u64 {
        self.chosen(8).unwrap_or_else(|| self.drawn())
    }

    fn drawn(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Of at most so many bytes.
    fn chosen(&mut self, bytes: usize) -> Option<u64> {
        let bytes = self.bytes.by_ref().take(bytes);
        bytes.fold(None, |number, byte| {
            Some(number.unwrap_or(0) << 8 | u64::from(byte))
        })
    }

    /// From 0 up to `limit`, which is left out.
    pub fn below(&mut self, limit: u64) -> u64 {
        let bytes = match limit {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let number = self.chosen(bytes).unwrap_or_else(|| self.drawn());
        number % limit.max(1)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A wait: mostly none or short, at times long.
    pub fn wait(&mut self, longest: u64) -> u64 {
        match self.below(10) {
            0..4 => 0,
            4..7 => self.below(300.min(longest)),
            7..9 => self.below(4_000.min(longest)),
            _ => self.below(longest),
        }
    }
}
