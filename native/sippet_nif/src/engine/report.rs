//! Reports as terms, for `Sippet.Telemetry.Report`.

use rustler::Atom;
use sippet_proto::transaction::{End, Report};

use super::runner::key_term;
use crate::atoms;
use crate::term::{Raw, Vm};

/// What became of a message, told before its effects.
pub enum Told {
    /// It was parsed: a request of this method.
    Request(Box<[u8]>),
    /// It was parsed: a response of this status code.
    Response(u16),
    /// It is no message, or unfit: why, and what it is answered, if it is a request.
    Rejected(Atom, u16),
    /// It is answered 503: why.
    Refused(Atom),
}

/// `{:report, :received, method | status_code}`, `{:report, :rejected, {reason, status_code}}` or
/// `{:report, :refused, reason}`
pub fn told_term<'a>(vm: Vm<'a>, told: &Told) -> Raw<'a> {
    let atoms = atoms::get();
    let (what, details) = match told {
        Told::Request(method) => (atoms.received, super::runner::method_term(vm, method)),
        Told::Response(status_code) => (atoms.received, vm.integer((*status_code).into())),
        Told::Rejected(reason, status_code) => (
            atoms.rejected,
            vm.tuple([(*reason).into(), vm.integer((*status_code).into())]),
        ),
        Told::Refused(reason) => (atoms.refused, (*reason).into()),
    };
    vm.tuple([atoms.report.into(), what.into(), details])
}

/// `{:report, :started, {key, role}}` or `{:report, :stopped, {key, role, duration_ms, {status_code, at_ms} | nil,
/// retransmissions, end}}`
pub fn term<'a>(vm: Vm<'a>, report: &Report) -> Raw<'a> {
    let atoms = atoms::get();
    let role = |client| if client { atoms.client } else { atoms.server };
    let (what, details) = match report {
        Report::Started { name, client } => (
            atoms.started,
            vm.tuple([key_term(vm, name, *client), role(*client).into()]),
        ),
        Report::Stopped {
            name,
            client,
            duration_ms,
            concluded,
            retransmissions,
            end,
        } => (
            atoms.stopped,
            vm.tuple([
                key_term(vm, name, *client),
                role(*client).into(),
                vm.wide(*duration_ms),
                match concluded {
                    Some((status_code, at_ms)) => {
                        vm.tuple([vm.integer((*status_code).into()), vm.wide(*at_ms)])
                    }
                    None => atoms.nil.into(),
                },
                vm.integer(*retransmissions),
                end_atom(*end).into(),
            ]),
        ),
    };
    vm.tuple([atoms.report.into(), what.into(), details])
}

fn end_atom(end: End) -> Atom {
    let atoms = atoms::get();
    match end {
        End::Normal => atoms.normal,
        End::Timeout => atoms.timeout,
        End::NoAck => atoms.no_ack,
        End::TransportError => atoms.transport_error,
        End::Terminated => atoms.terminated,
    }
}
