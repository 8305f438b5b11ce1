//! Writing the lines of header fields, absent ones included.

use super::Written;
use crate::error::{Field, WriteReason};
use crate::message::List;

/// A line of a joined list starts anew before it would pass this many bytes, far below what any reader takes.
pub(crate) const JOINED_BYTES: usize = 1024;

/// Writes the lines of header fields. What they return fits a register: there are fifty of them, most have nothing to do.
pub(crate) struct Lines<'o, 'a> {
    pub out: &'o mut Vec<u8>,
    /// Which field could not be written.
    pub field: Field<'a>,
}

impl<'a> Lines<'_, 'a> {
    /// One line, where there is a value.
    #[inline]
    pub fn one<T>(
        &mut self,
        name: &'static str,
        value: &Option<T>,
        write: impl FnOnce(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        match value {
            Some(value) => self.line(name, value, write),
            None => Ok(()),
        }
    }

    /// A line for each value: a list that has no empty form on the wire.
    #[inline]
    pub fn hops<T>(
        &mut self,
        name: &'static str,
        list: &Option<List<'_, T>>,
        write: impl Fn(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        match list {
            Some(list) if !list.is_empty() => self.all(name, list, write),
            _ => Ok(()),
        }
    }

    /// A line for each value, an empty one where there is none.
    #[inline]
    pub fn each<T>(
        &mut self,
        name: &'static str,
        list: &Option<List<'_, T>>,
        write: impl Fn(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        match list {
            Some(list) => self.all(name, list, write),
            None => Ok(()),
        }
    }

    /// Values with commas between, in as few lines of moderate length as it takes.
    #[inline]
    pub fn joined<T>(
        &mut self,
        name: &'static str,
        list: &Option<List<'_, T>>,
        write: impl Fn(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        match list {
            Some(list) => self.join(name, list, write),
            None => Ok(()),
        }
    }

    pub fn all<T>(
        &mut self,
        name: &'static str,
        list: &[T],
        write: impl Fn(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        if list.is_empty() {
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        list.iter()
            .try_for_each(|value| self.line(name, value, &write))
    }

    fn line<T>(
        &mut self,
        name: &'static str,
        value: &T,
        write: impl FnOnce(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        self.out.extend_from_slice(name.as_bytes());
        match write(self.out, value) {
            Ok(()) => {
                self.out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Err(reason) => self.fail(name, reason),
        }
    }

    fn join<T>(
        &mut self,
        name: &'static str,
        list: &[T],
        write: impl Fn(&mut Vec<u8>, &T) -> Written,
    ) -> Written {
        let mut line = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        for (index, value) in list.iter().enumerate() {
            let before = self.out.len();
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            let start = self.out.len();
            if let Err(reason) = write(self.out, value) {
                return self.fail(name, reason);
            }
            if index > 0 && self.out.len() - line > JOINED_BYTES {
                // What was written last moves to a line of its own.
                let line_start = [b"\r\n", name.as_bytes()].concat();
                self.out.splice(before..start, line_start);
                line = before + 2;
            }
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    #[cold]
    fn fail(&mut self, name: &'static str, reason: WriteReason) -> Written {
        self.field = Field::Header(name.trim_end_matches(": ").as_bytes());
        Err(reason)
    }
}
