//! Typed values of extension header fields.

use sippet_proto::header::extension::{Dialog, Identity, NumberParams, RAck, Typed};

use super::Encoder;
use crate::term::Raw;

impl<'e> Encoder<'e, '_> {
    /// The typed value of one field.
    pub fn typed(&self, value: &Typed<'_>) -> Raw<'e> {
        match value {
            Typed::Token(token) => self.string(token),
            Typed::Tokens(list) => self.list(list, |token| self.string(token)),
            Typed::TokenParams(value) => self.token_params(value),
            Typed::TokenParamsList(list) => self.list(list, |value| self.token_params(value)),
            Typed::Number(number) => self.vm.integer(*number),
            Typed::NumberParams(value) => self.number_params(value),
            Typed::RAck(value) => self.rack(value),
            Typed::Dialog(value) => self.dialog(value),
            Typed::Address(value) => self.name_addr(value),
            Typed::Addresses(list) => self.list(list, |value| self.name_addr(value)),
            Typed::Infos(list) => self.list(list, |value| self.info(value)),
            Typed::Params(params) => self.params(params),
            Typed::Identities(list) => self.list(list, |value| self.identity(value)),
        }
    }

    fn number_params(&self, value: &NumberParams<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.vm.integer(value.number), self.params(&value.params)])
    }

    fn rack(&self, value: &RAck<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.vm.integer(value.response_number),
            self.vm.integer(value.cseq_number),
            self.method(&value.method),
        ])
    }

    fn dialog(&self, value: &Dialog<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.string(value.call_id), self.params(&value.params)])
    }

    fn identity(&self, value: &Identity<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.string(value.digest),
            self.uri(&value.info),
            self.params(&value.params),
        ])
    }
}
