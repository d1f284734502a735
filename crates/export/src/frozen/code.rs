//! The code of a frozen network: one class, one function, a line for each step.

use super::call::{Argument, Call, Input};
use super::operator::{Operator, Run};
use super::table::find;
use super::tokens::{Token, tokens};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum nesting depth of calls and lists; an export has three.
const DEEPEST: usize = 16;
/// Maximum number of items in a list; an export has four.
const LONGEST_LIST: usize = 16;

/// Steps of a network, in order. Local 0 holds the images.
#[derive(Debug)]
pub struct Code {
    pub steps: Vec<Instruction>,
    pub output: usize,
    /// Number of locals.
    pub locals: usize,
}

/// A step of a network.
#[derive(Debug)]
pub struct Instruction {
    pub action: Action,
    pub output: usize,
    /// Values that no later step needs.
    pub last_uses: Vec<usize>,
}

/// Action of a step.
#[derive(Debug)]
pub enum Action {
    /// Calls an operator. The arguments are in the order of its parameters.
    Call(&'static Operator, Vec<Argument>),
    /// Takes an item of a list that an operator returned.
    Item { list: usize, number: usize },
}

impl Instruction {
    /// Returns the values that the step uses.
    fn inputs(&self) -> Vec<Input> {
        let mut all = Vec::new();
        match &self.action {
            Action::Call(_, arguments) => arguments.iter().for_each(|argument| argument.inputs(&mut all)),
            Action::Item { list, .. } => all.push(Input::Local(*list)),
        }
        all
    }
}

impl Code {
    /// Parses TorchScript as libtorch prints a frozen network.
    pub fn parse(code: &str) -> Result<Self, String> {
        let mut parser =
            Parser { tokens: tokens(code)?, at: 0, names: BTreeMap::new(), steps: Vec::new(), locals: 1, line: 1 };
        parser.header()?;
        let output = loop {
            let name = parser.name()?;
            if name == "return" {
                break parser.output()?;
            }
            parser.statement(name)?;
        };
        if let Some(token) = parser.next() {
            return parser.wrong("its end", Some(token));
        }
        let mut code = Self { steps: parser.steps, output, locals: parser.locals };
        code.find_last_uses();
        Ok(code)
    }

    /// Returns the numbers of the constants that the code uses.
    pub fn constants(&self) -> impl Iterator<Item = usize> {
        let constant = |input| if let Input::Constant(number) = input { Some(number) } else { None };
        self.steps.iter().flat_map(Instruction::inputs).filter_map(constant)
    }

    fn find_last_uses(&mut self) {
        let mut used = BTreeSet::from([self.output]);
        for step in self.steps.iter_mut().rev() {
            for input in step.inputs() {
                if let Input::Local(number) = input
                    && used.insert(number)
                {
                    step.last_uses.push(number);
                }
            }
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    /// Index of the next token.
    at: usize,
    /// Tensors, and lists of them, by their names in the code.
    names: BTreeMap<String, Argument>,
    steps: Vec<Instruction>,
    locals: usize,
    /// Number of the statement, for errors.
    line: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn wrong<T>(&self, expected: &str, found: Option<Token>) -> Result<T, String> {
        let found = match found {
            Some(Token::Name(text) | Token::Number(text) | Token::Text(text)) => format!("'{text:.40}'"),
            Some(Token::Mark(mark)) => format!("'{mark}'"),
            Some(Token::Line) | None => "its end".into(),
        };
        Err(format!("line {} of its code has {found} where an export has {expected}", self.line))
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            other => self.wrong("a name", other),
        }
    }

    fn mark(&mut self, mark: char) -> Result<(), String> {
        match self.next() {
            Some(Token::Mark(found)) if found == mark => Ok(()),
            other => self.wrong(&format!("'{mark}'"), other),
        }
    }

    fn takes(&mut self, mark: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn end_of_line(&mut self) -> Result<(), String> {
        match self.next() {
            Some(Token::Line) | None => {
                self.line += 1;
                Ok(())
            }
            other => self.wrong("the end of a line", other),
        }
    }

    /// Consumes these words: names and marks, separated by blanks.
    fn words(&mut self, words: &str) -> Result<(), String> {
        for word in words.split(' ') {
            match self.next() {
                Some(Token::Name(name)) if name == word => {}
                Some(Token::Mark(mark)) if word.chars().eq([mark]) => {}
                other => return self.wrong(&format!("'{word}'"), other),
            }
        }
        Ok(())
    }

    /// Parses names separated by dots.
    fn dotted(&mut self) -> Result<String, String> {
        let mut name = self.name()?;
        while self.takes('.') {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    /// Parses the class, which holds nothing but the function, up to the function's first statement.
    fn header(&mut self) -> Result<(), String> {
        self.words("class")?;
        self.name()?;
        self.words("( Module ) :")?;
        self.end_of_line()?;
        for list in ["__parameters__ = [ ]", "__buffers__ = [ ]"] {
            self.words(list)?;
            self.end_of_line()?;
        }
        self.words("def forward ( self :")?;
        self.dotted()?;
        self.mark(',')?;
        let images = self.name()?;
        self.names.insert(images, Argument::Tensor(Input::Local(0)));
        self.words(": Tensor ) - > Tensor :")?;
        self.end_of_line()
    }

    /// Parses the rest of a statement that begins with a name: `name = value`, or `name, name, … = list`.
    fn statement(&mut self, first: String) -> Result<(), String> {
        let mut names = vec![first];
        let mut is_list = false;
        while self.takes(',') {
            is_list = true;
            if let Some(Token::Name(_)) = self.tokens.get(self.at) {
                names.push(self.name()?);
            }
        }
        self.mark('=')?;
        let value = self.value(&names[0])?;
        if !is_list {
            self.names.insert(names.swap_remove(0), value);
            return Ok(());
        }
        let Argument::Tensors(list) = value else {
            return Err(format!("line {} of its code takes apart what is no list", self.line));
        };
        for (number, name) in names.into_iter().enumerate() {
            let item = self.step(Action::Item { list, number });
            self.names.insert(name, Argument::Tensor(Input::Local(item)));
        }
        Ok(())
    }

    /// Parses the rest of a statement: a tensor, a size or a list of tensors that is called `name`.
    fn value(&mut self, name: &str) -> Result<Argument, String> {
        let value = self.argument(0)?;
        let tensor = |item: &Argument| matches!(item, Argument::Tensor(_));
        let size = |item: &Argument| matches!(item, Argument::Size(_));
        let is_shape = |items: &[Argument]| {
            items.iter().any(size) && items.iter().all(|it| size(it) || matches!(it, Argument::Int(_)))
        };
        match &value {
            Argument::List(items) if items.iter().all(tensor) || is_shape(items) => {}
            Argument::Tensor(_) | Argument::Tensors(_) | Argument::Size(_) => {}
            _ => return Err(format!("line {} of its code: {name:.40} is no tensor", self.line)),
        }
        self.end_of_line()?;
        Ok(value)
    }

    /// Parses the rest of the last statement.
    fn output(&mut self) -> Result<usize, String> {
        match self.value("return")? {
            Argument::Tensor(Input::Local(local)) => Ok(local),
            _ => Err(format!("line {} of its code returns what was not computed", self.line)),
        }
    }

    fn argument(&mut self, depth: usize) -> Result<Argument, String> {
        if depth > DEEPEST {
            return Err(format!("line {} of its code is nested more than {DEEPEST} deep", self.line));
        }
        if self.takes('[') {
            return self.list(depth);
        }
        match self.tokens.get(self.at) {
            Some(Token::Number(_) | Token::Text(_)) => self.literal(),
            _ => self.named(depth),
        }
    }

    fn literal(&mut self) -> Result<Argument, String> {
        let token = self.next();
        let parsed = match &token {
            Some(Token::Text(text)) => Some(Argument::Text(text.clone())),
            Some(Token::Number(text)) => {
                let float = || text.parse().ok().filter(|value: &f64| value.is_finite()).map(Argument::Float);
                text.parse().ok().map(Argument::Int).or_else(float)
            }
            _ => None,
        };
        parsed.map_or_else(|| self.wrong("a number", token), Ok)
    }

    /// Parses a value or a call; both begin with a name.
    fn named(&mut self, depth: usize) -> Result<Argument, String> {
        let name = self.dotted()?;
        if self.takes('(') {
            let mut call = Call::new(&name, self.line);
            while !self.takes(')') {
                if !call.is_empty() {
                    self.mark(',')?;
                }
                let value = self.argument_or_keyword(depth + 1)?;
                call.add(value);
            }
            return self.call(&call);
        }
        if let Some(number) = name.strip_prefix("CONSTANTS.c").and_then(|number| number.parse().ok()) {
            return Ok(Argument::Tensor(Input::Constant(number)));
        }
        match &*name {
            "None" => Ok(Argument::None),
            "True" => Ok(Argument::Int(1)),
            "False" => Ok(Argument::Int(0)),
            _ => match self.names.get(&name) {
                Some(value) => Ok(value.clone()),
                None => self.wrong("a value that is known", Some(Token::Name(name))),
            },
        }
    }

    /// Parses an argument, with its keyword if it has one.
    fn argument_or_keyword(&mut self, depth: usize) -> Result<(Option<String>, Argument), String> {
        let keyword = match self.tokens.get(self.at..self.at + 2) {
            Some([Token::Name(keyword), Token::Mark('=')]) => Some(keyword.clone()),
            _ => None,
        };
        self.at += if keyword.is_some() { 2 } else { 0 };
        Ok((keyword, self.argument(depth)?))
    }

    fn list(&mut self, depth: usize) -> Result<Argument, String> {
        let mut items = Vec::new();
        while !self.takes(']') {
            if !items.is_empty() {
                self.mark(',')?;
            }
            items.push(self.argument(depth + 1)?);
            if items.len() > LONGEST_LIST {
                return Err(format!("line {} of its code has a list of more than {LONGEST_LIST}", self.line));
            }
        }
        Ok(Argument::List(items))
    }

    /// Turns a call into a step.
    fn call(&mut self, call: &Call) -> Result<Argument, String> {
        // The device is decided here, not by the file.
        if call.name == "torch.device" {
            return Ok(Argument::Device);
        }
        let (operator, arguments) = find(call)?;
        let output = self.step(Action::Call(operator, arguments));
        Ok(match operator.run {
            Run::Tensor(_) => Argument::Tensor(Input::Local(output)),
            Run::Tensors(_) => Argument::Tensors(output),
            Run::Size(_) => Argument::Size(output),
        })
    }

    /// Adds a step and returns the local that holds its result.
    fn step(&mut self, action: Action) -> usize {
        let output = self.locals;
        self.locals += 1;
        self.steps.push(Instruction { action, output, last_uses: Vec::new() });
        output
    }
}
