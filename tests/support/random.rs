//! Randomness that can be repeated.

/// A small generator (SplitMix64) whose seed is printed, so that a failing test can be run again as it was.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Takes the seed from `CAXTON_TEST_SEED`, else from the clock, and prints it.
    pub fn from_environment(test: &str) -> Self {
        let seed = std::env::var("CAXTON_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                now.as_secs()
            });
        #[allow(clippy::print_stdout)]
        {
            println!("{test}: repeat with CAXTON_TEST_SEED={seed}");
        }
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
