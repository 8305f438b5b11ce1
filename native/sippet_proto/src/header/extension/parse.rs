//! Values to typed values.

use super::line::{Line, lines};
use super::{Shape, Typed, dialog, full_name, identity, numbers, tokens};
use crate::error::{Field, ParseError, Reason};
use crate::grammar::{Parsed, Scope, Stop};
use crate::header::list::list;
use crate::header::{name_addr, token};
use crate::limits::Limits;
use crate::message::{Arena, List};

/// Reads the values of one field, each the value of a line, folds allowed; `name` is for the error.
///
/// Forgives what lenient parsing of a message does. Values of all lines are one list (§7.3.1); where there can be only one,
/// a second line is an error. The offset of an error counts as if there were one byte between two lines.
pub fn parse<'a>(
    name: &'a [u8],
    shape: Shape,
    values: &[&'a [u8]],
    limits: &Limits,
    arena: &'a Arena,
) -> Result<Typed<'a>, ParseError<'a>> {
    let reader = Reader {
        field: Field::Header(full_name(name)),
        lines: lines(Field::Header(full_name(name)), values, limits, arena)?,
        scope: Scope::new(arena, *limits),
    };
    match shape {
        Shape::Token => reader.one(token::plain_token).map(Typed::Token),
        Shape::Tokens { .. } => reader.list(token::plain_token).map(Typed::Tokens),
        Shape::Privacy => reader.all(tokens::privacy).map(Typed::Tokens),
        Shape::TokenParams => reader.one(token::token_params).map(Typed::TokenParams),
        Shape::TokenParamsList { .. } | Shape::Features => {
            reader.list(token::token_params).map(Typed::TokenParamsList)
        }
        Shape::TextParamsList => reader.list(tokens::text_params).map(Typed::TokenParamsList),
        Shape::Number(least) => reader
            .one(|input, _| numbers::only_at_least(input, least))
            .map(Typed::Number),
        Shape::NumberParams => reader.one(numbers::number_params).map(Typed::NumberParams),
        Shape::RAck => reader.one(numbers::rack).map(Typed::RAck),
        Shape::Dialog(tags) => reader
            .one(|input, scope| dialog::dialog(input, tags, scope))
            .map(Typed::Dialog),
        Shape::Address => reader.one(name_addr::name_addr).map(Typed::Address),
        Shape::Addresses { .. } => reader.list(name_addr::name_addr).map(Typed::Addresses),
        Shape::Infos => reader.list(token::info).map(Typed::Infos),
        Shape::ChargingVector => reader.one(tokens::charging_vector).map(Typed::Params),
        Shape::Identities => reader.list(identity::identity).map(Typed::Identities),
    }
}

struct Reader<'a> {
    field: Field<'a>,
    lines: List<'a, Line<'a>>,
    scope: Scope<'a>,
}

impl<'a> Reader<'a> {
    /// A field that has one value.
    fn one<T>(
        mut self,
        one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
    ) -> Result<T, ParseError<'a>> {
        let error = |reason, offset| ParseError {
            reason,
            field: self.field,
            offset,
        };
        let line = match self.lines.as_slice() {
            [] => return Err(error(Reason::EmptyValue, 0)),
            [line] => line,
            [_, second, ..] => return Err(error(Reason::DuplicateField, second.start())),
        };
        self.scope.has_nul = line.has_nul();
        token::only(line.text, &mut self.scope, one).map_err(|stop| line.error(self.field, stop))
    }

    /// A field that has a list of values.
    fn list<T>(
        self,
        one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
    ) -> Result<List<'a, T>, ParseError<'a>> {
        self.all(|value, scope, into| {
            let max = scope.limits.max_values;
            list(value, scope, max, into, &one)
        })
    }

    /// The values of all lines, those of a line by a rule.
    fn all<T>(
        mut self,
        rule: impl Fn(&'a [u8], &mut Scope<'a>, &mut List<'a, T>) -> Result<(), nom::Err<Stop<'a>>>,
    ) -> Result<List<'a, T>, ParseError<'a>> {
        let mut values = List::new_in(self.scope.arena);
        for line in &self.lines {
            self.scope.has_nul = line.has_nul();
            rule(line.text, &mut self.scope, &mut values)
                .map_err(|stop| line.error(self.field, stop))?;
        }
        Ok(values)
    }
}
