//! Typed values of extension header fields.

use super::Generator;
use sippet_proto::header::extension::{Dialog, Identity, NumberParams, RAck, Shape, Typed};
use sippet_proto::header::{Param, Params, TokenParams};

impl<'a> Generator<'a> {
    pub fn typed(&mut self, shape: Shape) -> Typed<'a> {
        match shape {
            Shape::Token => Typed::Token(self.token()),
            Shape::Tokens { .. } | Shape::Privacy => Typed::Tokens(self.list(0, Self::token)),
            Shape::TokenParams => Typed::TokenParams(self.token_params()),
            Shape::TokenParamsList { .. } | Shape::Features => {
                Typed::TokenParamsList(self.list(0, Self::features))
            }
            Shape::TextParamsList => Typed::TokenParamsList(self.list(0, |random| TokenParams {
                token: random.quotable(),
                params: random.params(&[(b"encoding", b"hex")]),
            })),
            Shape::Number(least) => Typed::Number(self.number().max(least)),
            Shape::NumberParams => Typed::NumberParams(NumberParams {
                number: self.number(),
                params: self.params(&[(b"refresher", b"uac")]),
            }),
            Shape::RAck => Typed::RAck(RAck {
                response_number: self.number().max(1),
                cseq_number: self.number() >> 1,
                method: self.method(),
            }),
            Shape::Dialog(tags) => Typed::Dialog(Dialog {
                call_id: self.call_id(),
                params: self.with_mandatory(&tags),
            }),
            Shape::Address => Typed::Address(self.name_addr()),
            Shape::Addresses { .. } => Typed::Addresses(self.list(0, Self::name_addr)),
            Shape::Infos => Typed::Infos(self.list(0, Self::info)),
            Shape::ChargingVector => Typed::Params(self.with_mandatory(&[b"icid-value"])),
            Shape::Identities => Typed::Identities(self.list(0, |random| Identity {
                digest: random.or_unfit(b"eyJhbGciOiJFUzI1NiJ9.eyJ-_+/Q==".to_vec()),
                info: random.uri(),
                params: random.params(&[(b"alg", b"ES256"), (b"ppt", b"shaken")]),
            })),
        }
    }

    fn features(&mut self) -> TokenParams<'a> {
        TokenParams {
            token: self.token(),
            params: self.params(&[
                (b"mobility", b"fixed"),
                (b"+g.3gpp.icsi-ref", b"urn:urn-7"),
                (b"d-ver", b"0000000000000000000000000000a011"),
            ]),
        }
    }

    fn with_mandatory(&mut self, names: &[&'a [u8]]) -> Params<'a> {
        let mut params: Vec<Param<'a>> = names
            .iter()
            .map(|name| Param {
                name,
                value: Some(self.token()),
            })
            .collect();
        params.extend(self.params(&[]));
        self.arena.alloc_slice_copy(&params)
    }
}
