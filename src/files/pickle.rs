//! A machine for Python's pickles, protocols 2 to 5, that runs no code: names are looked up in a fixed list, and calls make arrays,
//! lists and dicts.
//!
//! Crates that read pickles refuse what PyTorch's are made of (persistent ids, calls), or copy what a pickle refers to twice, so
//! that a few bytes fill the memory. Here a value is kept once, and each opcode makes one at most: memory is bounded by the
//! pickle's length. Nothing recurses.

use super::globals::{Global, global};
use std::collections::HashMap;

/// A value's place among all of them.
pub(super) type Id = u32;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value<'p> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'p str),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// Keys and values by turns.
    Dict(Vec<Id>),
    Global(Global<'p>),
    /// An object of a TorchScript archive, with its attributes.
    Object(Option<Id>),
    Storage(Box<Storage<'p>>),
    Tensor(Box<Tensor>),
    /// A tensor that is no array, in words.
    Strange(&'static str),
    /// What holds no weights.
    Opaque,
}

/// Memory that tensors share.
#[derive(Clone, Debug)]
pub(super) struct Storage<'p> {
    pub class: Global<'p>,
    pub key: &'p str,
    /// Elements, or bytes where it has no type of its own.
    pub count: u64,
    /// The part of another storage that it is, of old files: its first element.
    pub view: Option<u64>,
}

/// A view of a storage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub storage: Id,
    pub offset: u64,
    pub size: Id,
    pub stride: Id,
    /// The type, where the storage has none.
    pub dtype: Option<Id>,
}

/// All values of a pickle, and the one that it stands for.
pub(super) struct Pickle<'p> {
    pub values: Vec<Value<'p>>,
    pub top: Id,
    /// Bytes from the beginning to the end of the pickle.
    pub length: usize,
}

impl<'p> Pickle<'p> {
    pub fn value(&self, id: Id) -> &Value<'p> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    /// Whole numbers of a tuple or a list, none below 0.
    pub fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let (Value::Tuple(items) | Value::List(items)) = self.value(id) else { return None };
        // More axes than any array has.
        if items.len() > 64 {
            return None;
        }
        let whole = |&id: &Id| match self.value(id) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        items.iter().map(whole).collect()
    }
}

/// Reads the pickle that `bytes` begin with.
///
/// # Errors
/// A text that says what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        // Shared by all: what one or two bytes stand for makes none.
        values: shared(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        most: 4096 + bytes.len() / 3,
    };
    loop {
        let at = machine.at;
        let code = machine.byte()?;
        let top = machine.step(code).map_err(|text| format!("at byte {at} of the pickle: {text}"))?;
        if let Some(top) = top {
            return Ok(Pickle { values: machine.values, top, length: machine.at });
        }
    }
}

struct Machine<'p> {
    bytes: &'p [u8],
    at: usize,
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Values, and places of the memo, at most: real pickles have three bytes or more for each.
    most: usize,
}

const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;
const EMPTY: Id = 3;
/// 0, which 1 to 255 follow.
const ZERO: Id = 4;

fn shared() -> Vec<Value<'static>> {
    let constants = [Value::None, Value::Bool(false), Value::Bool(true), Value::Tuple(Vec::new())];
    constants.into_iter().chain((0..=255).map(Value::Int)).collect()
}

type Step<T = ()> = Result<T, String>;

impl<'p> Machine<'p> {
    /// Runs an opcode; at the end, gives the value that the pickle stands for.
    fn step(&mut self, code: u8) -> Step<Option<Id>> {
        match code {
            b'.' => return self.pop().map(Some),
            0x80 => match self.byte()? {
                0..=5 => {}
                other => return Err(format!("protocol {other} is unknown: save with protocol 2 to 5")),
            },
            // Frames only say how much to read at once.
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.after_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or("its stack is empty")?;
                self.stack.push(top);
            }
            b'N' | 0x88 | 0x89 | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => self.number(code)?,
            b'X' | b'T' | 0x8c | b'U' | 0x8d | b'C' | b'B' | 0x8e | 0x96 => self.string(code)?,
            b']' | 0x8f | b'}' | b')' | 0x85..=0x87 | b't' | b'l' | 0x91 | b'd' => self.container(code)?,
            b'a' | b'e' | 0x90 | b's' | b'u' => self.extend(code)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(code)?,
            b'c' | 0x93 | b'Q' | b'R' | 0x81 | 0x92 | b'b' => self.object(code)?,
            b'o' | b'i' => return Err("it makes objects as protocol 0 did: save with protocol 2".to_owned()),
            0x82..=0x84 => return Err("it refers to copyreg's extensions, which are code".to_owned()),
            0x97 | 0x98 => return Err("it has buffers outside of the file".to_owned()),
            other => return Err(format!("0x{other:02x} is no opcode of protocols 2 to 5: the file is damaged")),
        }
        Ok(None)
    }

    /// Nothing, truths and numbers.
    fn number(&mut self, code: u8) -> Step {
        match code {
            b'N' => self.stack.push(NONE),
            0x88 => self.stack.push(TRUE),
            0x89 => self.stack.push(FALSE),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => {
                let value = self.byte()?;
                self.stack.push(ZERO + Id::from(value));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => {
                let length = self.byte()?.into();
                self.long(length)?;
            }
            0x8b => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.long(length)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Opaque)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Texts and bytes.
    fn string(&mut self, code: u8) -> Step {
        match code {
            b'X' | b'T' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length, code == b'X')?;
            }
            0x8c | b'U' => {
                let length = self.byte()?.into();
                self.text(length, code == 0x8c)?;
            }
            0x8d => {
                let length = self.length()?;
                self.text(length, true)?;
            }
            b'C' => {
                let length = self.byte()?.into();
                self.skip(length)?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.skip(length)?;
            }
            0x8e | 0x96 => {
                let length = self.length()?;
                self.skip(length)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Tuples, lists, sets and dicts.
    fn container(&mut self, code: u8) -> Step {
        match code {
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b')' => self.stack.push(EMPTY),
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let from = self.floor(count)?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items))?;
            }
            b't' => {
                let items = self.after_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b'l' | 0x91 => {
                let items = self.after_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = self.after_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.fill(items)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Items and keys of those that are there.
    fn extend(&mut self, code: u8) -> Step {
        match code {
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.after_mark()?;
                self.append(items)?;
            }
            b's' => {
                let from = self.floor(2)?;
                let items = self.stack.split_off(from);
                self.fill(items)?;
            }
            b'u' => {
                let items = self.after_mark()?;
                self.fill(items)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is kept under a number, and recalled.
    fn remember(&mut self, code: u8) -> Step {
        match code {
            b'q' => {
                let place = self.byte()?.into();
                self.keep(place)?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.keep(place)?;
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).map_err(|_| "it remembers too much")?;
                self.keep(place)?;
            }
            b'h' => {
                let place = self.byte()?.into();
                self.recall(place)?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Names, calls and attributes.
    fn object(&mut self, code: u8) -> Step {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (Value::Text(module), Value::Text(name)) => self.name(module, name)?,
                    _ => return Err("a name that is no text".to_owned()),
                }
            }
            b'Q' => self.persistent()?,
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            b'b' => self.build()?,
            _ => {}
        }
        Ok(())
    }

    fn value(&self, id: Id) -> &Value<'p> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    fn push(&mut self, value: Value<'p>) -> Step {
        let id = Id::try_from(self.values.len()).ok().filter(|_| self.values.len() < self.most);
        let id = id.ok_or("it makes more values than its length allows: the file is damaged or made to do harm")?;
        if self.values.len() == self.values.capacity() {
            // Doubled, but never beyond what is allowed.
            let more = self.values.len().min(self.most - self.values.len());
            self.values.try_reserve_exact(more).map_err(|_| "there is no memory for its values")?;
        }
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    /// Pops, but not what a mark stands before.
    fn pop(&mut self) -> Step<Id> {
        self.floor(1)?;
        self.stack.pop().ok_or_else(|| "its stack is empty".to_owned())
    }

    /// Where the last `count` items begin.
    fn floor(&self, count: usize) -> Step<usize> {
        let from = self.stack.len().checked_sub(count);
        let least = self.marks.last().copied().unwrap_or(0);
        from.filter(|from| *from >= least).ok_or_else(|| "its stack has too few values".to_owned())
    }

    /// What stands after the last mark.
    fn after_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("it has no mark")?))
    }

    fn byte(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let (array, _) = self.take(N)?.split_first_chunk().ok_or("it ends in the middle")?;
        Ok(*array)
    }

    fn take(&mut self, count: usize) -> Step<&'p [u8]> {
        let bytes: &'p [u8] = self.bytes;
        let end = self.at.checked_add(count).filter(|end| *end <= bytes.len());
        let end = end.ok_or("it ends in the middle: the file was cut off or damaged")?;
        let taken = &bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn length(&mut self) -> Step<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| format!("{length} bytes lie beyond its end"))
    }

    fn skip(&mut self, count: usize) -> Step {
        self.take(count)?;
        self.push(Value::Opaque)
    }

    fn line(&mut self) -> Step<&'p str> {
        let bytes: &'p [u8] = self.bytes;
        let rest = bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(1000).position(|byte| *byte == b'\n').ok_or("a name has no end")?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| "a name is no UTF-8")?;
        self.at += end + 1;
        Ok(text)
    }

    /// Python 2 wrote bytes where text is meant: those are opaque where they are no text.
    fn text(&mut self, count: usize, strict: bool) -> Step {
        let bytes = self.take(count)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(Value::Text(text)),
            Err(_) if !strict => self.push(Value::Opaque),
            Err(_) => Err("a text is no UTF-8".to_owned()),
        }
    }

    /// A whole number; opaque if it has more than 64 bits.
    fn long(&mut self, count: usize) -> Step {
        let bytes = self.take(count)?;
        if count > 8 {
            return self.push(Value::Opaque);
        }
        let sign = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = [if sign { 0xff } else { 0 }; 8];
        whole[..count].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(whole)))
    }

    fn keep(&mut self, place: u32) -> Step {
        let top = *self.stack.last().ok_or("its stack is empty")?;
        if self.memo.len() >= self.most {
            return Err("it remembers more than its length allows: the file is damaged or made to do harm".to_owned());
        }
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Step {
        let id = *self.memo.get(&place).ok_or_else(|| format!("it recalls value {place}, which it has not kept"))?;
        self.stack.push(id);
        Ok(())
    }

    fn name(&mut self, module: &'p str, name: &'p str) -> Step {
        match global(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => {
                let (module, name) = (module.escape_debug(), name.escape_debug());
                Err(format!(
                    "it asks for {module}.{name}, which is code or a class of code, and files are read without running any. \
                     In Python, torch.save(model.state_dict(), \"model.pt\") writes a file of weights alone"
                ))
            }
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Step {
        let to = *self.stack.last().ok_or("its stack is empty")?;
        match self.values.get_mut(to as usize) {
            Some(Value::List(list)) => list.extend(items),
            Some(Value::Opaque) => {}
            _ => return Err("it adds items to what is no list".to_owned()),
        }
        Ok(())
    }

    fn fill(&mut self, items: Vec<Id>) -> Step {
        let to = *self.stack.last().ok_or("its stack is empty")?;
        if !items.len().is_multiple_of(2) {
            return Err("it sets a key without a value".to_owned());
        }
        match self.values.get_mut(to as usize) {
            Some(Value::Dict(dict)) => dict.extend(items),
            Some(Value::Opaque) => {}
            _ => return Err("it sets keys of what is no dict".to_owned()),
        }
        Ok(())
    }

    /// `("storage", type, key, location, count)`, and of old files what it is a view of.
    fn persistent(&mut self) -> Step {
        let id = self.pop()?;
        let storage = match self.value(id) {
            Value::Tuple(items) => self.storage(items),
            _ => None,
        };
        let storage = storage.ok_or("it refers to something outside of the pickle that is no storage of a tensor")?;
        self.push(Value::Storage(Box::new(storage)))
    }

    fn storage(&self, items: &[Id]) -> Option<Storage<'p>> {
        let [tag, class, key, _, count, view @ ..] = items else { return None };
        match (self.value(*tag), self.value(*class), self.value(*key), self.value(*count)) {
            (Value::Text("storage"), Value::Global(class), Value::Text(key), Value::Int(count))
                if matches!(class, Global::Storage(_) | Global::Unread(_)) =>
            {
                let view = match view.first().map(|view| self.value(*view)) {
                    Some(Value::Tuple(view)) => match view.get(1).map(|offset| self.value(*offset)) {
                        Some(Value::Int(offset)) => Some(u64::try_from(*offset).ok()?),
                        _ => return None,
                    },
                    _ => None,
                };
                Some(Storage { class: *class, key, count: u64::try_from(*count).ok()?, view })
            }
            _ => None,
        }
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Step {
        let Value::Global(global) = self.value(callable) else {
            return match self.value(callable) {
                Value::Opaque => self.push(Value::Opaque),
                _ => Err("it calls what is no function".to_owned()),
            };
        };
        let global = *global;
        let Value::Tuple(items) = self.value(arguments) else { return Err("it calls with no arguments".to_owned()) };
        let few = || "it calls a function of PyTorch with too few arguments".to_owned();
        let first = items.first().copied();
        let value = match global {
            Global::Dict => Value::Dict(Vec::new()),
            Global::List => match first.map(|id| self.value(id)) {
                Some(Value::List(_) | Value::Tuple(_)) => {
                    self.stack.extend(first);
                    return Ok(());
                }
                _ => Value::List(Vec::new()),
            },
            Global::First | Global::Parameter => {
                self.stack.push(first.ok_or_else(few)?);
                return Ok(());
            }
            Global::Typed => {
                let (Some(function), Some(arguments)) = (first, items.get(2).copied()) else { return Err(few()) };
                // Once: a call of itself would have no end.
                let again = matches!(self.value(function), Value::Global(Global::Typed));
                return if again { Err("a call calls itself".to_owned()) } else { self.call(function, arguments) };
            }
            Global::Tensor { typed } => {
                let [storage, offset, size, stride, more @ ..] = &items[..] else { return Err(few()) };
                let offset = match self.value(*offset) {
                    Value::Int(offset) => u64::try_from(*offset).ok(),
                    _ => None,
                };
                let offset = offset.ok_or("a tensor's offset is no whole number")?;
                // After whether it has a gradient, and its hooks.
                let dtype = more.get(2).copied().filter(|_| typed);
                Value::Tensor(Box::new(Tensor { storage: *storage, offset, size: *size, stride: *stride, dtype }))
            }
            Global::Strange(what) => Value::Strange(what),
            Global::Script(_) => Value::Object(None),
            Global::Opaque => Value::Opaque,
            Global::Storage(_) | Global::Unread(_) | Global::Dtype(..) => {
                return Err("it calls a type of tensors".to_owned());
            }
        };
        self.push(value)
    }

    /// Sets attributes: those of objects of TorchScript hold weights, others do not.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        let to = *self.stack.last().ok_or("its stack is empty")?;
        match self.values.get_mut(to as usize) {
            Some(Value::Object(attributes)) => *attributes = Some(state),
            Some(Value::Dict(_) | Value::Opaque | Value::Tensor(_) | Value::List(_) | Value::Strange(_)) => {}
            _ => return Err("it sets attributes of what has none".to_owned()),
        }
        Ok(())
    }
}
