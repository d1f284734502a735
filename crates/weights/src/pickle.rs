//! Reads Python's pickles as data.
//!
//! Supports those opcodes of the [pickle machine](https://github.com/python/cpython/blob/main/Lib/pickletools.py) that
//! `torch.save` writes, protocols 2 to 4. A name (`torch._utils._rebuild_tensor_v2`) stays a name, and a call stays a
//! call: the caller interprets those that it knows.

use std::rc::Rc;

/// First byte of a pickle.
pub(crate) const PROTO: u8 = 0x80;

/// Maximum nesting of values, and their maximum number at once: no state dict exceeds them.
const DEEPEST: u32 = 64;
const MOST: usize = 10_000_000;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(i128),
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    List(Rc<[Value]>),
    /// Keys, each followed by its value.
    Dict(Rc<[Value]>),
    /// A name in a module: `module.name`.
    Name(Rc<str>),
    /// `name(arguments)`.
    Call(Rc<(Value, Value)>),
    /// An object stored outside the pickle, by its persistent id.
    Outside(Rc<Value>),
    /// Anything else, by a description.
    Other(Rc<str>),
}

/// Entry of the stack: a value, a list or dict that is being filled (both with their depth), or a mark.
enum Building {
    Done(Value, u32),
    Open { dict: bool, items: Vec<Value>, depth: u32 },
    Mark,
}

impl Building {
    fn open(dict: bool) -> Self {
        Self::Open { dict, items: Vec::new(), depth: 1 }
    }
}

/// Reads one pickle from the front of `bytes`. Returns its value and the remaining bytes.
pub(crate) fn read(bytes: &[u8]) -> Result<(Value, &[u8]), String> {
    Machine { bytes, stack: Vec::new(), memo: Vec::new(), memorised: 0 }.run()
}

struct Machine<'b> {
    bytes: &'b [u8],
    stack: Vec<Building>,
    /// Memoised values, by their memo indices.
    memo: Vec<Option<(Value, u32)>>,
    memorised: usize,
}

fn other(what: &str) -> Value {
    Value::Other(what.into())
}

impl<'b> Machine<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("its pickle ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Reads a little-endian number of `count` bytes, at most 8.
    fn number(&mut self, count: usize) -> Result<u64, String> {
        Ok(self.take(count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads a length of `count` bytes, and then as many bytes.
    fn counted(&mut self, count: usize) -> Result<&'b [u8], String> {
        let length = usize::try_from(self.number(count)?).map_err(|_| "its pickle ends too early")?;
        self.take(length)
    }

    fn text(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "a text in its pickle is not UTF-8")?;
        self.push(Value::Text(text.into()), 0)
    }

    fn line(&mut self) -> Result<&'b str, String> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n').ok_or("its pickle ends too early")?;
        let line = std::str::from_utf8(self.take(end)?).map_err(|_| "a name in its pickle is not UTF-8")?;
        self.take(1)?;
        Ok(line)
    }

    fn put(&mut self, building: Building) -> Result<(), String> {
        if self.stack.len() >= MOST {
            return Err("its pickle is larger than that of any network".into());
        }
        self.stack.push(building);
        Ok(())
    }

    /// Pushes a value of nesting depth `depth`.
    fn push(&mut self, value: Value, depth: u32) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("its pickle is nested more than {DEEPEST} deep"));
        }
        self.put(Building::Done(value, depth))
    }

    fn pop(&mut self) -> Result<(Value, u32), String> {
        match self.stack.pop() {
            Some(Building::Done(value, depth)) => Ok((value, depth)),
            Some(Building::Open { dict: true, items, depth }) => Ok((Value::Dict(items.into()), depth)),
            Some(Building::Open { dict: false, items, depth }) => Ok((Value::List(items.into()), depth)),
            Some(Building::Mark) | None => Err("its pickle takes what it did not put there".into()),
        }
    }

    /// Pops the values above the last mark, and returns them with the depth of the deepest.
    fn marked(&mut self) -> Result<(Vec<Value>, u32), String> {
        let (mut values, mut deepest) = (Vec::new(), 0);
        while !matches!(self.stack.last(), Some(Building::Mark)) {
            let (value, depth) = self.pop()?;
            values.push(value);
            deepest = deepest.max(depth);
        }
        self.stack.pop();
        values.reverse();
        Ok((values, deepest))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut values = Vec::with_capacity(count);
        let mut deepest = 0;
        for _ in 0..count {
            let (value, depth) = self.pop()?;
            values.push(value);
            deepest = deepest.max(depth);
        }
        values.reverse();
        self.push(Value::Tuple(values.into()), deepest + 1)
    }

    /// Adds values to the list or dict at the top of the stack, or drops them if it is any other value.
    fn fill(&mut self, into_dict: bool, values: Vec<Value>, of_values: u32) -> Result<(), String> {
        if of_values >= DEEPEST {
            return Err(format!("its pickle is nested more than {DEEPEST} deep"));
        }
        match self.stack.last_mut() {
            Some(Building::Open { dict, .. }) if *dict != into_dict => Err("its pickle fills a list as a dict".into()),
            Some(Building::Open { dict: true, .. }) if !values.len().is_multiple_of(2) => {
                Err("its pickle has a key without a value".into())
            }
            Some(Building::Open { items, depth, .. }) => {
                *depth = (*depth).max(of_values + 1);
                items.extend(values);
                Ok(())
            }
            Some(Building::Done(..)) => Ok(()),
            Some(Building::Mark) | None => Err("its pickle fills what it did not make".into()),
        }
    }

    fn memorise(&mut self, number: u64) -> Result<(), String> {
        let index =
            usize::try_from(number).ok().filter(|index| *index < MOST).ok_or("its pickle remembers too much")?;
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = match self.stack.last() {
            Some(Building::Done(value, depth)) => Some((value.clone(), *depth)),
            // Its content is not known yet, and no state dict refers to a list or dict twice.
            Some(Building::Open { .. }) => Some((other("something that stands in several places"), 1)),
            Some(Building::Mark) | None => return Err("its pickle remembers what it did not make".into()),
        };
        self.memorised += 1;
        Ok(())
    }

    fn recall(&mut self, number: u64) -> Result<(), String> {
        let found = usize::try_from(number).ok().and_then(|index| self.memo.get(index)?.clone());
        let (value, depth) = found.ok_or("its pickle remembers what it never saw")?;
        self.push(value, depth)
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), String> {
        self.push(Value::Name(format!("{module}.{name}").into()), 0)
    }

    fn call(&mut self) -> Result<(), String> {
        let ((arguments, depth), (function, _)) = (self.pop()?, self.pop()?);
        if matches!(&function, Value::Name(name) if &**name == "collections.OrderedDict") {
            return self.put(Building::open(true));
        }
        self.push(Value::Call(Rc::new((function, arguments))), depth + 1)
    }

    fn run(mut self) -> Result<(Value, &'b [u8]), String> {
        loop {
            let [code] = *self.take(1)? else { return Err("its pickle ends too early".into()) };
            match code {
                PROTO => drop(self.take(1)?),
                // FRAME: its length, which is not needed.
                0x95 => drop(self.take(8)?),
                b'.' => return Ok((self.pop()?.0, self.bytes)),
                b'(' => self.put(Building::Mark)?,
                b'0' => drop(self.stack.pop()),
                b'1' => drop(self.marked()?),
                b'}' => self.put(Building::open(true))?,
                b']' => self.put(Building::open(false))?,
                0x8f => self.push(other("a set"), 1)?,
                b')' => self.tuple(0)?,
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => {
                    let (values, depth) = self.marked()?;
                    self.push(Value::Tuple(values.into()), depth + 1)?;
                }
                b's' => {
                    let ((value, depth), (key, of_key)) = (self.pop()?, self.pop()?);
                    self.fill(true, vec![key, value], depth.max(of_key))?;
                }
                b'u' => {
                    let (values, depth) = self.marked()?;
                    self.fill(true, values, depth)?;
                }
                b'a' => {
                    let (value, depth) = self.pop()?;
                    self.fill(false, vec![value], depth)?;
                }
                b'e' => {
                    let (values, depth) = self.marked()?;
                    self.fill(false, values, depth)?;
                }
                0x90 => drop(self.marked()?),
                b'N' => self.push(other("None"), 0)?,
                0x88 => self.push(Value::Int(1), 0)?,
                0x89 => self.push(Value::Int(0), 0)?,
                b'K' => self.integer(1)?,
                b'M' => self.integer(2)?,
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.push(Value::Int(number.into()), 0)?;
                }
                0x8a => {
                    let bytes = self.counted(1)?;
                    self.long(bytes)?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(other("a number"), 0)?;
                }
                b'X' => {
                    let bytes = self.counted(4)?;
                    self.text(bytes)?;
                }
                0x8c => {
                    let bytes = self.counted(1)?;
                    self.text(bytes)?;
                }
                b'T' | b'B' => {
                    self.counted(4)?;
                    self.push(other("bytes"), 0)?;
                }
                b'U' | b'C' => {
                    self.counted(1)?;
                    self.push(other("bytes"), 0)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.name(module, name)?;
                }
                0x93 => match (self.pop()?.0, self.pop()?.0) {
                    (Value::Text(name), Value::Text(module)) => self.name(&module, &name)?,
                    _ => return Err("a name in its pickle is no text".into()),
                },
                b'R' | 0x81 => self.call()?,
                // BUILD: the state of an object. A state dict keeps its metadata there.
                b'b' => drop(self.pop()?),
                b'Q' => {
                    let (called, depth) = self.pop()?;
                    self.push(Value::Outside(Rc::new(called)), depth + 1)?;
                }
                b'q' => self.number(1).and_then(|number| self.memorise(number))?,
                b'r' => self.number(4).and_then(|number| self.memorise(number))?,
                0x94 => self.memorise(self.memorised as u64)?,
                b'h' => self.number(1).and_then(|number| self.recall(number))?,
                b'j' => self.number(4).and_then(|number| self.recall(number))?,
                unknown => return Err(format!("its pickle has the code {unknown:#04x}, which no state dict has")),
            }
        }
    }

    fn integer(&mut self, count: usize) -> Result<(), String> {
        let number = self.number(count)?;
        self.push(Value::Int(number.into()), 0)
    }

    /// Pushes a number in two's complement; one of more than 16 bytes only by its description.
    fn long(&mut self, bytes: &[u8]) -> Result<(), String> {
        let value = if bytes.len() > 16 {
            other("a large number")
        } else {
            let sign = if bytes.last().is_some_and(|byte| byte & 0x80 > 0) { -1 } else { 0 };
            Value::Int(bytes.iter().rev().fold(sign, |number, byte| number << 8 | i128::from(*byte)))
        };
        self.push(value, 0)
    }
}
