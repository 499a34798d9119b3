//! That what is drawn is XML, whatever people call their nodes, and that all that is written can be seen.

use super::*;
use crate::picture::tests::{counts, example};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::HashMap;

/// An element's name, its attributes, and the text in it.
type Element = (String, HashMap<String, String>, String);

/// All elements of a document, which is one.
#[track_caller]
fn elements(svg: &str) -> Vec<Element> {
    // The parser does not ask which characters XML has.
    let is_xml = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(svg.chars().all(|c| is_xml(c) && !matches!(c, '\u{fffe}' | '\u{ffff}')), "{svg:?}");
    let mut reader = Reader::from_str(svg);
    let (mut elements, mut open) = (Vec::<Element>::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                open.push(elements.len());
                elements.push(element(&start));
            }
            Event::Empty(empty) => elements.push(element(&empty)),
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => {
                if let Some(&at) = open.last() {
                    elements[at].2 += &text.decode().unwrap();
                }
            }
            Event::GeneralRef(name) => {
                let at = *open.last().unwrap();
                let text = format!("&{};", name.decode().unwrap());
                elements[at].2 += &quick_xml::escape::unescape(&text).unwrap();
            }
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(elements[0].0, "svg");
    elements
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Element {
    let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
    let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
        let attribute = attribute.unwrap();
        let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
        (key, String::from_utf8(attribute.value.to_vec()).unwrap())
    };
    (name, start.attributes().map(attribute).collect(), String::new())
}

fn texts<'a>(elements: &'a [Element], name: &str) -> Vec<&'a str> {
    let named = elements.iter().filter(|(element, ..)| element == name);
    named.map(|(.., text)| &**text).collect()
}

#[test]
fn a_picture_says_what_it_shows() {
    let mut picture = example();
    picture.with_counts(&counts()).unwrap();
    picture.title = "night.toml".to_owned();
    let elements = elements(&draw(&picture));
    assert_eq!(
        texts(&elements, "title")[..2],
        ["night.toml", "flowers (source)\nin/2026-11-27.csv"]
    );
    let about = texts(&elements, "desc")[0];
    assert!(
        about.starts_with("flowers to allowed (12,500); allowed to shape (11,250); "),
        "{about}"
    );
    assert!(about.ends_with("; allowed to out (blocked 1,250)"), "{about}");
    let texts = texts(&elements, "text");
    for text in ["flowers", "source", "3 rejected", "12,248 written", "blocked 1,250", "10,998"] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    assert_eq!(texts.last(), Some(&"rejects: out/2026-11-27.rejects.ldjson"));
}

#[test]
fn a_name_is_shown_as_it_is_and_steers_nothing() {
    for (name, shown) in [
        ("</text><script>x</script>", "</text><script>x</script>"),
        ("a & b &amp; \"c\" 'd' ]]>", "a & b &amp; \"c\" 'd' ]]>"),
        ("a\u{0}\u{1b}[1m\u{ffff}", "a\\u{0}\\u{1b}[1m\\u{ffff}"),
        ("x\u{202e}y\u{2066}z", "x\\u{202e}y\\u{2066}z"),
        ("שלום 花 🌷", "שלום 花 🌷"),
        ("", ""),
    ] {
        let mut picture = example();
        picture.nodes[0].name = name.to_owned();
        picture.nodes[1].details = vec![Detail::Code(name.to_owned())];
        picture.title = name.to_owned();
        picture.rejects = Some(name.to_owned());
        let elements = elements(&draw(&picture));
        let texts = texts(&elements, "text");
        assert!(texts.contains(&shown), "{texts:?}");
        assert!(texts.contains(&&*format!("rejects: {shown}")), "{texts:?}");
        assert!(elements.iter().all(|(element, ..)| element != "script"));
    }
}

#[test]
fn all_texts_are_within_the_picture_and_those_of_a_node_within_its_box() {
    let mut picture = example();
    picture.with_counts(&counts()).unwrap();
    picture.rejects = Some("r".repeat(200));
    let elements = elements(&draw(&picture));
    let number =
        |(_, attributes, _): &Element, name: &str| -> i32 { attributes[name].parse().unwrap() };
    let (whole_width, whole_height) =
        (number(&elements[0], "width"), number(&elements[0], "height"));
    assert_eq!(elements[0].1["viewBox"], format!("0 0 {whole_width} {whole_height}"));
    let mut within: Option<&Element> = None;
    let mut seen = 0;
    for element @ (name, attributes, text) in &elements {
        match &**name {
            "rect" if attributes.contains_key("rx") => within = Some(element),
            "rect" if attributes.contains_key("x") => within = Some(element),
            "text" => {
                let size = number(element, "font-size");
                let font = match attributes.get("font-weight") {
                    Some(_) => Font::Bold,
                    None if attributes.contains_key("font-family") => Font::Mono,
                    None => Font::Sans,
                };
                let (x, y, width) =
                    (number(element, "x"), number(element, "y"), width(text, font, size));
                let left = match attributes.get("text-anchor").map(String::as_str) {
                    Some("end") => x - width,
                    Some("middle") => x - width / 2,
                    _ => x,
                };
                let is_within = |[at, above, wide, high]: [i32; 4]| {
                    at <= left
                        && left + width <= at + wide
                        && above <= y - size
                        && y + 4 <= above + high
                };
                assert!(is_within([0, 0, whole_width, whole_height]), "{text} at {left}, {y}");
                let rect = ["x", "y", "width", "height"].map(|it| number(within.unwrap(), it));
                let is_of_all = text.starts_with("rejects: ");
                assert!(is_of_all || is_within(rect), "{text} at {left}, {y}, not in {rect:?}");
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 7 * 2 + 10 + 7 + 7 + 1, "names and kinds, details, counts, labels, rejects");
}
