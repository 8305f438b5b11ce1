//! The atoms of session descriptions.

use std::sync::OnceLock;

use rustler::sys::ErlNifTerm;
use rustler::{Atom, Env};
use sippet_proto::sdp::{Direction, Reason, Setup, WriteReason};

macro_rules! atoms {
    ($($name:ident $(= $text:literal)?),+ $(,)?) => {
        /// The atoms that have a place of their own, by name.
        pub struct SdpAtoms {
            $(pub $name: Atom,)+
            /// Each of the above.
            all: Vec<(&'static str, Atom)>,
            directions: Vec<(Direction, Atom)>,
            setups: Vec<(Setup, Atom)>,
            reasons: Vec<(Reason, Atom)>,
            write_reasons: Vec<(WriteReason, Atom)>,
        }

        impl SdpAtoms {
            fn new(env: Env<'_>) -> Result<SdpAtoms, rustler::Error> {
                $(let $name = Atom::from_str(env, atoms!(@text $name $($text)?))?;)+
                Ok(SdpAtoms {
                    $($name,)+
                    all: vec![$((stringify!($name), $name)),+],
                    directions: named(env, Direction::ALL, |each| each.name())?,
                    setups: named(env, Setup::ALL, |each| each.name())?,
                    reasons: named(env, Reason::ALL, |each| each.name())?,
                    write_reasons: named(env, WriteReason::ALL, |each| each.name())?,
                })
            }
        }
    };
    (@text $name:ident $text:literal) => { $text };
    (@text $name:ident) => { stringify!($name) };
}

atoms!(
    address,
    address_count,
    address_type,
    appdata,
    attribute,
    attributes,
    bandwidths,
    candidate,
    clock_rate,
    component,
    connection,
    connection_struct = "Elixir.Sippet.SDP.Connection",
    connections,
    crypto,
    defects,
    direction,
    emails,
    encoding_name,
    extensions,
    feedback,
    fingerprint,
    fmtp,
    format,
    formats,
    foundation,
    group,
    hash,
    ice_lite,
    ice_mismatch,
    ice_options,
    ice_pacing,
    ice_pwd,
    ice_ufrag,
    id,
    information,
    invalid_term,
    key,
    key_parameters,
    line,
    maxptime,
    media,
    media_struct = "Elixir.Sippet.SDP.Media",
    mid,
    mids,
    msid,
    network_type,
    order,
    origin,
    origin_struct = "Elixir.Sippet.SDP.Origin",
    parameters,
    payload_type,
    phones,
    port,
    port_count,
    priority,
    protocol,
    ptime,
    related_address,
    related_port,
    repeats,
    rtcp,
    rtcp_fb,
    rtcp_mux,
    rtcp_rsize,
    rtpmap,
    sdp_struct = "Elixir.Sippet.SDP",
    semantics,
    session_id,
    session_name,
    session_parameters,
    session_version,
    setup,
    ssrc,
    ssrc_group,
    ssrcs,
    start,
    stop,
    suite,
    tag,
    timing_struct = "Elixir.Sippet.SDP.Timing",
    timings,
    ttl,
    type_ = "type",
    unknown,
    uri,
    username,
    value,
    version,
    zone_adjustments,
);

static ATOMS: OnceLock<SdpAtoms> = OnceLock::new();

/// Makes all atoms; called once, when the library is loaded.
pub fn load(env: Env<'_>) -> bool {
    match SdpAtoms::new(env) {
        Ok(atoms) => {
            // A second load in the same VM finds the first one's, which are the same.
            let _ = ATOMS.set(atoms);
            true
        }
        Err(_) => false,
    }
}

/// The atoms.
#[inline]
pub fn get() -> &'static SdpAtoms {
    // `load` ran before any NIF could be called.
    ATOMS.get().expect("the library was loaded")
}

fn named<T: Copy>(
    env: Env<'_>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Vec<(T, Atom)>, rustler::Error> {
    all.iter()
        .map(|each| Ok((*each, Atom::from_str(env, name(*each))?)))
        .collect()
}

fn atom_of<T: PartialEq>(table: &[(T, Atom)], value: T) -> Atom {
    let found = table.iter().find(|(each, _)| *each == value);
    found.map_or_else(rustler::types::atom::nil, |(_, atom)| *atom)
}

fn value_of<T: Copy>(table: &[(T, Atom)], term: ErlNifTerm) -> Option<T> {
    let found = table.iter().find(|(_, each)| each.as_c_arg() == term);
    found.map(|(value, _)| *value)
}

impl SdpAtoms {
    /// A part of a description by its name in Rust.
    pub fn field(&self, name: &str) -> Atom {
        atom_of(&self.all, name)
    }

    /// The atom of a direction.
    pub fn direction(&self, direction: Direction) -> Atom {
        atom_of(&self.directions, direction)
    }

    /// The direction that an atom is.
    pub fn to_direction(&self, term: ErlNifTerm) -> Option<Direction> {
        value_of(&self.directions, term)
    }

    /// The atom of a role.
    pub fn setup(&self, setup: Setup) -> Atom {
        atom_of(&self.setups, setup)
    }

    /// The role that an atom is.
    pub fn to_setup(&self, term: ErlNifTerm) -> Option<Setup> {
        value_of(&self.setups, term)
    }

    /// The atom of a reason for which parsing failed.
    pub fn reason(&self, reason: Reason) -> Atom {
        atom_of(&self.reasons, reason)
    }

    /// The atom of a reason for which writing failed.
    pub fn write_reason(&self, reason: WriteReason) -> Atom {
        atom_of(&self.write_reasons, reason)
    }

    /// All reasons for which parsing can fail.
    pub fn all_reasons(&self) -> Vec<Atom> {
        self.reasons.iter().map(|(_, atom)| *atom).collect()
    }

    /// All reasons for which writing can fail: the writer's and the decoder's.
    pub fn all_write_reasons(&self) -> Vec<Atom> {
        let written = self.write_reasons.iter().map(|(_, atom)| *atom);
        written.chain([self.invalid_term]).collect()
    }
}
