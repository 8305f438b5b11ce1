//! Terms without ceremony: the few calls into the VM that building a message needs, each as thin as it can be.
//!
//! rustler's own encoders allocate a vector for each map and list and carry the environment in each term, which costs as
//! much as the parsing. All unsafe code of this crate is in this module.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use rustler::sys::{
    ErlNifBinary, ErlNifMapIterator, ErlNifMapIteratorEntry, ErlNifTerm, enif_get_double,
    enif_get_int64, enif_get_list_cell, enif_get_list_length, enif_get_map_size,
    enif_get_map_value, enif_get_tuple, enif_inspect_binary, enif_is_atom, enif_make_double,
    enif_make_list_cell, enif_make_list_from_array, enif_make_map_from_arrays,
    enif_make_new_binary, enif_make_sub_binary, enif_make_tuple_from_array, enif_make_uint,
    enif_make_uint64, enif_map_iterator_create, enif_map_iterator_destroy,
    enif_map_iterator_get_pair, enif_map_iterator_next,
};
use rustler::{Atom, Encoder, Env, LocalPid, Term};

/// Strings up to this many bytes are copied, which leaves them on the process's heap; longer ones refer to the datagram.
const MAX_COPIED_BYTES: usize = 64;

/// A term of the environment `'e`, without the pointer to it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Raw<'e> {
    term: ErlNifTerm,
    // Invariant: terms of two environments never mix.
    environment: PhantomData<fn(&'e ()) -> &'e ()>,
}

impl<'e> Raw<'e> {
    /// The same term, as the VM's interface wants it.
    #[inline]
    pub fn bits(self) -> ErlNifTerm {
        self.term
    }

    #[inline]
    fn new(term: ErlNifTerm) -> Raw<'e> {
        Raw {
            term,
            environment: PhantomData,
        }
    }
}

impl<'e> From<Atom> for Raw<'e> {
    #[inline]
    fn from(atom: Atom) -> Raw<'e> {
        Raw::new(atom.as_c_arg())
    }
}

impl<'e> From<Term<'e>> for Raw<'e> {
    #[inline]
    fn from(term: Term<'e>) -> Raw<'e> {
        Raw::new(term.as_c_arg())
    }
}

/// The bits of a term as a number, for a hash.
#[inline]
pub fn number(term: ErlNifTerm) -> usize {
    // SAFETY: `ErlNifTerm` is transparent over the VM's word.
    unsafe { std::mem::transmute(term) }
}

/// Makes and takes apart the terms of one environment.
#[derive(Clone, Copy)]
pub struct Vm<'e> {
    env: Env<'e>,
}

impl<'e> Vm<'e> {
    /// The VM as seen by one call.
    #[inline]
    pub fn new(env: Env<'e>) -> Vm<'e> {
        Vm { env }
    }

    /// The term for rustler.
    #[inline]
    pub fn term(self, raw: Raw<'e>) -> Term<'e> {
        // SAFETY: a `Raw<'e>` is only made from terms of the environment `'e` and from atoms.
        unsafe { Term::new(self.env, raw.term) }
    }

    #[inline]
    fn ptr(self) -> *mut rustler::sys::ErlNifEnv {
        self.env.as_c_arg()
    }

    /// An integer.
    #[inline]
    pub fn integer(self, number: u32) -> Raw<'e> {
        // SAFETY: the environment is live.
        Raw::new(unsafe { enif_make_uint(self.ptr(), number) })
    }

    /// An integer that may be large.
    #[inline]
    pub fn wide(self, number: u64) -> Raw<'e> {
        // SAFETY: the environment is live.
        Raw::new(unsafe { enif_make_uint64(self.ptr(), number) })
    }

    /// A float, which must be finite; anything else would raise in the VM, and becomes 0.
    #[inline]
    pub fn float(self, number: f64) -> Raw<'e> {
        let number = if number.is_finite() { number } else { 0.0 };
        // SAFETY: the environment is live and the number finite.
        Raw::new(unsafe { enif_make_double(self.ptr(), number) })
    }

    /// A local process as a number: the bits of its identifier, an immediate term that is the same in every environment.
    #[inline]
    pub fn number_of(self, pid: &LocalPid) -> u64 {
        let Raw { term, .. } = Raw::from(pid.encode(self.env));
        // SAFETY: a term is a machine word, in a transparent wrapper.
        (unsafe { std::mem::transmute::<ErlNifTerm, usize>(term) }) as u64
    }

    /// The identifier of a process whose number this is; nothing else may be handed over.
    #[inline]
    pub fn process(self, number: u64) -> Raw<'e> {
        // SAFETY: as above, and immediates belong to no environment. The number has come from `number_of`.
        Raw::new(unsafe { std::mem::transmute::<usize, ErlNifTerm>(number as usize) })
    }

    /// A binary with a copy of `bytes`.
    #[inline]
    pub fn copy(self, bytes: &[u8]) -> Raw<'e> {
        let mut term = MaybeUninit::uninit();
        // SAFETY: the VM returns room for as many bytes as asked for (it aborts when it has no memory) and sets `term`.
        unsafe {
            let room = enif_make_new_binary(self.ptr(), bytes.len(), term.as_mut_ptr());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
            Raw::new(term.assume_init())
        }
    }

    /// A tuple.
    #[inline]
    pub fn tuple<const N: usize>(self, elements: [Raw<'e>; N]) -> Raw<'e> {
        // SAFETY: `Raw` is transparent, so this is an array of N terms, and N is a small constant.
        Raw::new(unsafe {
            enif_make_tuple_from_array(self.ptr(), elements.as_ptr().cast(), N as u32)
        })
    }

    /// The empty list.
    #[inline]
    pub fn empty_list(self) -> Raw<'e> {
        // SAFETY: of an array of no length nothing is read.
        Raw::new(unsafe { enif_make_list_from_array(self.ptr(), std::ptr::null(), 0) })
    }

    /// `[head | tail]`
    #[inline]
    pub fn cons(self, head: Raw<'e>, tail: Raw<'e>) -> Raw<'e> {
        // SAFETY: both are terms of this environment.
        Raw::new(unsafe { enif_make_list_cell(self.ptr(), head.term, tail.term) })
    }

    /// A map. Keys in term order are the cheapest.
    ///
    /// # Panics
    ///
    /// If a key is there twice: callers hand over distinct ones.
    #[inline]
    pub fn map(self, keys: &[Raw<'e>], values: &[Raw<'e>]) -> Raw<'e> {
        assert_eq!(keys.len(), values.len());
        let mut map = MaybeUninit::uninit();
        // SAFETY: `Raw` is transparent, both arrays have as many terms as is said, and the map is only read when made.
        unsafe {
            let made = enif_make_map_from_arrays(
                self.ptr(),
                keys.as_ptr().cast(),
                values.as_ptr().cast(),
                keys.len(),
                map.as_mut_ptr(),
            );
            assert!(made != 0, "the keys of a map are distinct");
            Raw::new(map.assume_init())
        }
    }

    /// The bytes of a binary, valid as long as the call lasts.
    #[inline]
    pub fn bytes(self, binary: Raw<'e>) -> Option<&'e [u8]> {
        let mut inspected = MaybeUninit::<ErlNifBinary>::uninit();
        // SAFETY: where the VM says yes, it has set pointer and size, and the bytes neither move nor change before the
        // call ends: nothing is collected meanwhile. An empty binary may have any pointer.
        unsafe {
            if enif_inspect_binary(self.ptr(), binary.term, inspected.as_mut_ptr()) == 0 {
                return None;
            }
            let inspected = inspected.assume_init();
            if inspected.size == 0 {
                return Some(&[]);
            }
            Some(std::slice::from_raw_parts(inspected.data, inspected.size))
        }
    }

    /// The elements of a tuple.
    #[inline]
    pub fn elements(self, tuple: Raw<'e>) -> Option<&'e [Raw<'e>]> {
        let mut arity = 0;
        let mut elements = std::ptr::null();
        // SAFETY: where the VM says yes, it has set both, and the tuple stays where it is until the call ends.
        unsafe {
            if enif_get_tuple(self.ptr(), tuple.term, &mut arity, &mut elements) == 0 {
                return None;
            }
            match arity {
                1.. => Some(std::slice::from_raw_parts(elements.cast(), arity as usize)),
                _ => Some(&[]),
            }
        }
    }

    /// The elements of a tuple of exactly N.
    #[inline]
    pub fn tuple_of<const N: usize>(self, tuple: Raw<'e>) -> Option<&'e [Raw<'e>; N]> {
        self.elements(tuple)?.try_into().ok()
    }

    /// Head and tail of a list that is not empty.
    #[inline]
    pub fn uncons(self, list: Raw<'e>) -> Option<(Raw<'e>, Raw<'e>)> {
        let mut head = MaybeUninit::uninit();
        let mut tail = MaybeUninit::uninit();
        // SAFETY: where the VM says yes, it has set both.
        unsafe {
            if enif_get_list_cell(self.ptr(), list.term, head.as_mut_ptr(), tail.as_mut_ptr()) == 0
            {
                return None;
            }
            Some((Raw::new(head.assume_init()), Raw::new(tail.assume_init())))
        }
    }

    /// The number of elements of a proper list.
    #[inline]
    pub fn list_length(self, list: Raw<'e>) -> Option<usize> {
        let mut length = 0;
        // SAFETY: where the VM says yes, it has set the length.
        let proper = unsafe { enif_get_list_length(self.ptr(), list.term, &mut length) } != 0;
        proper.then_some(length as usize)
    }

    /// The number of pairs of a map.
    #[inline]
    pub fn map_size(self, map: Raw<'e>) -> Option<usize> {
        let mut size = 0;
        // SAFETY: where the VM says yes, it has set the size.
        (unsafe { enif_get_map_size(self.ptr(), map.term, &mut size) } != 0).then_some(size)
    }

    /// Is it an atom?
    #[inline]
    pub fn is_atom(self, term: Raw<'e>) -> bool {
        // SAFETY: a term of this environment.
        unsafe { enif_is_atom(self.ptr(), term.term) != 0 }
    }

    /// The number that an integer is, if it has room in 64 bits.
    #[inline]
    pub fn number(self, term: Raw<'e>) -> Option<i64> {
        let mut number = 0;
        // SAFETY: where the VM says yes, it has set the number.
        (unsafe { enif_get_int64(self.ptr(), term.term, &mut number) } != 0).then_some(number)
    }

    /// The number that a float is.
    #[inline]
    pub fn real(self, term: Raw<'e>) -> Option<f64> {
        let mut number = 0.0;
        // SAFETY: where the VM says yes, it has set the number.
        (unsafe { enif_get_double(self.ptr(), term.term, &mut number) } != 0).then_some(number)
    }

    /// The value of a key.
    #[inline]
    pub fn get(self, map: Raw<'e>, key: Atom) -> Option<Raw<'e>> {
        let mut value = MaybeUninit::uninit();
        // SAFETY: where the VM says yes, it has set the value; it says no where `map` is no map.
        unsafe {
            if enif_get_map_value(self.ptr(), map.term, key.as_c_arg(), value.as_mut_ptr()) == 0 {
                return None;
            }
            Some(Raw::new(value.assume_init()))
        }
    }

    /// The pairs of a map; none where it is no map.
    #[inline]
    pub fn pairs(self, map: Raw<'e>) -> Option<Pairs<'e>> {
        let mut iterator = MaybeUninit::uninit();
        // SAFETY: where the VM says yes, the iterator is ready, and `Pairs` destroys it.
        unsafe {
            if enif_map_iterator_create(
                self.ptr(),
                map.term,
                iterator.as_mut_ptr(),
                ErlNifMapIteratorEntry::ERL_NIF_MAP_ITERATOR_HEAD,
            ) == 0
            {
                return None;
            }
            Some(Pairs {
                vm: self,
                iterator: iterator.assume_init(),
            })
        }
    }
}

/// The pairs of a map, in the order in which the VM keeps them.
pub struct Pairs<'e> {
    vm: Vm<'e>,
    iterator: ErlNifMapIterator,
}

impl<'e> Iterator for Pairs<'e> {
    type Item = (Raw<'e>, Raw<'e>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut key = MaybeUninit::uninit();
        let mut value = MaybeUninit::uninit();
        // SAFETY: the iterator is ready until it is dropped; where the VM says yes, it has set both.
        unsafe {
            if enif_map_iterator_get_pair(
                self.vm.ptr(),
                &mut self.iterator,
                key.as_mut_ptr(),
                value.as_mut_ptr(),
            ) == 0
            {
                return None;
            }
            enif_map_iterator_next(self.vm.ptr(), &mut self.iterator);
            Some((Raw::new(key.assume_init()), Raw::new(value.assume_init())))
        }
    }
}

impl Drop for Pairs<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `enif_map_iterator_create`, destroyed once.
        unsafe { enif_map_iterator_destroy(self.vm.ptr(), &mut self.iterator) }
    }
}

/// Gives memory that was freed back to the system. glibc keeps all that lies below something still in use; others give it
/// back by themselves.
pub fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it may be called at any time, by any thread (malloc_trim(3)).
        unsafe { malloc_trim(0) };
    }
}

/// The binary that a message was parsed from: long strings refer to it.
#[derive(Clone, Copy)]
pub struct Datagram<'e> {
    term: Raw<'e>,
    bytes: &'e [u8],
}

impl<'e> Datagram<'e> {
    /// A binary term; none where it is something else.
    pub fn new(vm: Vm<'e>, term: Raw<'e>) -> Option<Datagram<'e>> {
        let bytes = vm.bytes(term)?;
        Some(Datagram { term, bytes })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &'e [u8] {
        self.bytes
    }

    /// A sub-binary, if `part` lies inside.
    fn refer(&self, vm: Vm<'e>, part: &[u8]) -> Option<Raw<'e>> {
        let offset = (part.as_ptr() as usize).checked_sub(self.bytes.as_ptr() as usize)?;
        if offset.checked_add(part.len())? > self.bytes.len() {
            return None;
        }
        // SAFETY: the range lies inside the binary.
        Some(Raw::new(unsafe {
            enif_make_sub_binary(vm.ptr(), self.term.term, offset, part.len())
        }))
    }
}

/// A string as a term: copied when short, else a reference to the datagram if it lies in there.
#[inline]
pub fn string<'e>(vm: Vm<'e>, datagram: Option<Datagram<'e>>, bytes: &[u8]) -> Raw<'e> {
    if bytes.len() > MAX_COPIED_BYTES
        && let Some(datagram) = datagram
        && let Some(part) = datagram.refer(vm, bytes)
    {
        return part;
    }
    vm.copy(bytes)
}
