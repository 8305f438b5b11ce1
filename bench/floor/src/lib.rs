//! The floor under any parser that is a NIF: makes the terms of a message from a recipe, and does nothing else.
//!
//! A recipe is a list of steps, each of which makes one term from terms of the steps before it, by one call into the VM or
//! none. What the parser takes from its caller as literals, the floor takes too.

use std::mem::MaybeUninit;

use rustler::sys::{
    ErlNifEnv, ErlNifTerm, enif_get_tuple, enif_make_list_cell, enif_make_map_from_arrays,
    enif_make_new_binary, enif_make_sub_binary, enif_make_tuple_from_array,
};
use rustler::{Binary, Env, Error, NifResult, Resource, ResourceArc, Term};

/// The most elements of a tuple or map in a recipe.
const MAX_ELEMENTS: usize = 128;

enum Step {
    /// An atom, a small integer or the empty list: the same word in every process.
    Immediate(ErlNifTerm),
    Literal(usize),
    Copy(Vec<u8>),
    Refer {
        offset: usize,
        size: usize,
    },
    Cons(usize, usize),
    Tuple(Vec<usize>),
    Map(Vec<usize>, Vec<usize>),
}

struct Recipe(Vec<Step>);

// SAFETY: immediates belong to no environment.
unsafe impl Send for Recipe {}
unsafe impl Sync for Recipe {}

#[rustler::resource_impl]
impl Resource for Recipe {}

/// `prepare(steps)`: steps as `Bench.Floor` makes them.
#[rustler::nif]
fn prepare(steps: Vec<(u8, Term<'_>)>) -> NifResult<ResourceArc<Recipe>> {
    let mut recipe = Vec::with_capacity(steps.len());
    for (index, (kind, argument)) in steps.into_iter().enumerate() {
        let is_before =
            |slots: &[usize]| slots.len() <= MAX_ELEMENTS && slots.iter().all(|slot| *slot < index);
        let step = match kind {
            0 => Step::Immediate(argument.as_c_arg()),
            1 => Step::Literal(argument.decode()?),
            2 => Step::Copy(argument.decode::<Binary<'_>>()?.as_slice().to_vec()),
            3 => {
                let (offset, size) = argument.decode()?;
                Step::Refer { offset, size }
            }
            4 => {
                let (head, tail) = argument.decode()?;
                if !is_before(&[head, tail]) {
                    return Err(Error::BadArg);
                }
                Step::Cons(head, tail)
            }
            5 => {
                let slots: Vec<usize> = argument.decode()?;
                if !is_before(&slots) {
                    return Err(Error::BadArg);
                }
                Step::Tuple(slots)
            }
            6 => {
                let (keys, values): (Vec<usize>, Vec<usize>) = argument.decode()?;
                if !is_before(&keys) || !is_before(&values) || keys.len() != values.len() {
                    return Err(Error::BadArg);
                }
                Step::Map(keys, values)
            }
            _ => return Err(Error::BadArg),
        };
        recipe.push(step);
    }
    Ok(ResourceArc::new(Recipe(recipe)))
}

/// `build(recipe, data, literals)`: the term of the last step.
#[rustler::nif]
fn build<'a>(
    env: Env<'a>,
    recipe: ResourceArc<Recipe>,
    data: Term<'a>,
    literals: Term<'a>,
) -> NifResult<Term<'a>> {
    let binary: Binary<'a> = data.decode()?;
    let mut terms: Vec<ErlNifTerm> = Vec::with_capacity(recipe.0.len());
    // SAFETY: `prepare` saw that each step refers to steps before it; literals and sub-binaries are checked here.
    unsafe {
        let (mut arity, mut elements) = (0, std::ptr::null());
        if enif_get_tuple(
            env.as_c_arg(),
            literals.as_c_arg(),
            &mut arity,
            &mut elements,
        ) == 0
        {
            return Err(Error::BadArg);
        }
        for step in &recipe.0 {
            let term = match step {
                Step::Immediate(term) => *term,
                Step::Literal(index) if *index < arity as usize => *elements.add(*index),
                Step::Refer { offset, size } if offset + size <= binary.len() => {
                    enif_make_sub_binary(env.as_c_arg(), data.as_c_arg(), *offset, *size)
                }
                Step::Literal(_) | Step::Refer { .. } => return Err(Error::BadArg),
                Step::Copy(bytes) => copy(env.as_c_arg(), bytes),
                Step::Cons(head, tail) => {
                    enif_make_list_cell(env.as_c_arg(), terms[*head], terms[*tail])
                }
                Step::Tuple(slots) => {
                    let elements = gather(&terms, slots);
                    enif_make_tuple_from_array(
                        env.as_c_arg(),
                        elements.as_ptr().cast(),
                        slots.len() as u32,
                    )
                }
                Step::Map(keys, values) => {
                    let (key_terms, value_terms) = (gather(&terms, keys), gather(&terms, values));
                    let mut map = MaybeUninit::uninit();
                    let made = enif_make_map_from_arrays(
                        env.as_c_arg(),
                        key_terms.as_ptr().cast(),
                        value_terms.as_ptr().cast(),
                        keys.len(),
                        map.as_mut_ptr(),
                    );
                    if made == 0 {
                        return Err(Error::BadArg);
                    }
                    map.assume_init()
                }
            };
            terms.push(term);
        }
        let last = terms.last().ok_or(Error::BadArg)?;
        Ok(Term::new(env, *last))
    }
}

unsafe fn copy(env: *mut ErlNifEnv, bytes: &[u8]) -> ErlNifTerm {
    let mut term = MaybeUninit::uninit();
    // SAFETY: the VM gives room for as many bytes as asked for, and sets the term.
    unsafe {
        let room = enif_make_new_binary(env, bytes.len(), term.as_mut_ptr());
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
        term.assume_init()
    }
}

#[inline]
fn gather(terms: &[ErlNifTerm], slots: &[usize]) -> [MaybeUninit<ErlNifTerm>; MAX_ELEMENTS] {
    let mut elements = [const { MaybeUninit::uninit() }; MAX_ELEMENTS];
    for (element, slot) in elements.iter_mut().zip(slots) {
        element.write(terms[*slot]);
    }
    elements
}

rustler::init!("Elixir.Bench.Floor");
