//! Typed values of extension header fields.

use sippet_proto::header::extension::{Dialog, Identity, NumberParams, RAck, Shape, Typed};
use sippet_proto::message::List;

use super::{Decoded, Decoder};
use crate::term::Raw;

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// The typed value of one field.
    pub fn typed(&self, shape: Shape, term: Raw<'e>) -> Decoded<Typed<'a>> {
        Some(match shape {
            Shape::Token => Typed::Token(self.string(term)?),
            Shape::Tokens { .. } | Shape::Privacy => Typed::Tokens(self.strings(term)?),
            Shape::TokenParams => Typed::TokenParams(self.token_params(term)?),
            Shape::TokenParamsList { .. } | Shape::Features | Shape::TextParamsList => {
                Typed::TokenParamsList(self.list(term, |value| self.token_params(value))?)
            }
            Shape::Number(_) => Typed::Number(self.integer(term)?),
            Shape::NumberParams => Typed::NumberParams(self.number_params(term)?),
            Shape::RAck => Typed::RAck(self.rack(term)?),
            Shape::Dialog(_) => Typed::Dialog(self.dialog(term)?),
            Shape::Address => Typed::Address(self.address(term)?),
            Shape::Addresses { .. } => Typed::Addresses(self.addresses(term)?),
            Shape::Infos => Typed::Infos(self.list(term, |value| self.info(value))?),
            Shape::ChargingVector => Typed::Params(self.params(term)?),
            Shape::Identities => Typed::Identities(self.list(term, |value| self.identity(value))?),
        })
    }

    /// A list of strings, or a string alone.
    pub fn texts(&self, term: Raw<'e>) -> Decoded<List<'a, &'a [u8]>> {
        self.extension_values(term)
    }

    fn number_params(&self, term: Raw<'e>) -> Decoded<NumberParams<'a>> {
        let [number, params] = self.tuple(term)?;
        Some(NumberParams {
            number: self.integer(*number)?,
            params: self.params(*params)?,
        })
    }

    fn rack(&self, term: Raw<'e>) -> Decoded<RAck<'a>> {
        let [response_number, cseq_number, method] = self.tuple(term)?;
        Some(RAck {
            response_number: self.integer(*response_number)?,
            cseq_number: self.integer(*cseq_number)?,
            method: self.method(*method)?,
        })
    }

    fn dialog(&self, term: Raw<'e>) -> Decoded<Dialog<'a>> {
        let [call_id, params] = self.tuple(term)?;
        Some(Dialog {
            call_id: self.string(*call_id)?,
            params: self.params(*params)?,
        })
    }

    fn identity(&self, term: Raw<'e>) -> Decoded<Identity<'a>> {
        let [digest, info, params] = self.tuple(term)?;
        Some(Identity {
            digest: self.string(*digest)?,
            info: self.uri(*info)?,
            params: self.params(*params)?,
        })
    }
}
