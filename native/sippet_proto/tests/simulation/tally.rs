//! How often the runs have seen what they are to show.

macro_rules! tally {
    ($($name:ident)*) => {
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Tally {
            $(pub $name: u64,)*
        }

        impl Tally {
            pub fn add(&mut self, other: &Tally) {
                $(self.$name += other.$name;)*
            }

            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

tally! {
    clients
    servers
    sent
    repeated
    answered
    timeouts
    errors
    acks
    acks_again
    acks_never
    cancels
    cancels_dropped
    core_failures
    unacknowledged
    strays
    provisionals_dropped
    offered_after_end
}
