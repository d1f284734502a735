//! Tests of the page in a real browser: its content, its interaction, and the escaping of data.
//!
//! The browser is `$CHROMIUM`, or the first of `chromium`, `chromium-browser` and `google-chrome` on the path. Without
//! one these tests print `SKIPPED` and pass.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod browser {
    pub mod dom;
    pub mod example;
}

use browser::dom::{Dom, open};
use browser::example::{bare, run, stepwise};
use report::{Class, Report, Run};
use serde_json::json;

const WIDE: u32 = 1400;

/// Returns the page in the browser after `script`; without a browser, prints `SKIPPED` and returns `None`.
fn show(run: Run, compare: Vec<Run>, width: u32, script: &str) -> Option<Dom> {
    let html = Report { run, compare }.html().unwrap();
    let dom = open(&html, width, script);
    if dom.is_none() {
        eprintln!("SKIPPED: no Chromium; install one or name it in $CHROMIUM");
    }
    dom
}

#[test]
fn everything_is_there_and_nothing_goes_wrong() {
    let script = r##"
        const all = (selector) => [...document.querySelectorAll(selector)];
        const drawn = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v);
        return {
            charts: all("figure[data-chart]").map((figure) => figure.dataset.chart),
            curves: all("path.curve:not(.key path)").map((path) => (path.getAttribute("d").match(/[ML]/g) || []).length),
            cells: all("td[data-count]").length,
            canvases: all("canvas[data-sample]").map(drawn),
            pictures: all(".stack img").every((img) => img.naturalWidth === 32),
            stacks: all(".stack-of").length,
            links: all("nav a").map((a) => document.querySelector(a.getAttribute("href")) !== null),
            labels: all("svg[role=img]").every((svg) => svg.getAttribute("aria-label")),
            unnamed: all("input:not([type=radio]):not([type=checkbox])").filter((input) => !input.closest("label")).length,
        };
    "##;
    let Some(dom) = show(run("main", 0.0), Vec::new(), WIDE, script) else { return };
    let found = dom.result();
    let charts =
        ["loss", "mean_iou", "accuracy", "class_iou", "learning_rate", "gradient_norm", "throughput", "memory"];
    assert_eq!(found["charts"], json!(charts));
    // Two curves (train, validation) in three charts, three classes in one, and one curve in each of four charts: 30
    // points each.
    assert_eq!(found["curves"], json!(vec![30; 2 * 3 + 3 + 4]));
    assert_eq!(found["cells"], 9);
    assert_eq!(found["canvases"], json!([true, true, true, true]));
    assert_eq!(found["pictures"], true);
    assert_eq!(found["stacks"], 30);
    assert_eq!(found["links"], json!(vec![true; 6]));
    assert_eq!((&found["labels"], &found["unnamed"]), (&json!(true), &json!(0)));
    dom.is_clean();
}

#[test]
fn hovering_shows_the_values_of_all_curves_there() {
    let script = r#"
        const chart = document.querySelector("[data-chart=loss]");
        const svg = chart.querySelector(":scope > svg");
        const box = svg.getBoundingClientRect();
        const at = (type, share) => svg.dispatchEvent(new PointerEvent(type, {
            clientX: box.left + 52 + share * (box.width - 64), clientY: box.top + 80, bubbles: true }));
        at("pointermove", 14 / 29);
        const hovered = chart.querySelector(".values").innerText;
        const dots = chart.querySelectorAll("circle.dot").length;
        const values = chart.querySelector(".values").getBoundingClientRect();
        const inside = values.top >= box.top && values.bottom <= box.bottom && values.right <= box.right;
        at("pointerleave", 0);
        const left = chart.querySelector(".values").innerText;
        const key = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        key("ArrowRight"); key("ArrowRight"); key("ArrowRight");
        return { hovered, dots, inside, left, third: chart.querySelector(".values").innerText };
    "#;
    let Some(dom) = show(run("main", 0.0), vec![run("other", 0.2)], WIDE, script) else { return };
    let found = dom.result();
    let lines = |key: &str| found[key].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    // Losses are 1 / epoch for training, 0.1 more for validation, and 0.2 more for the other run.
    assert_eq!(
        lines("hovered"),
        "epoch 15 main · train 0.06667 main · validation 0.1667 other · train 0.2667 other · validation 0.3667"
    );
    assert_eq!((&found["dots"], &found["inside"], &found["left"]), (&json!(4), &json!(true), &json!("")));
    assert!(lines("third").starts_with("epoch 3 main · train 0.3333"), "{found}");
    dom.is_clean();
}

#[test]
fn dragging_zooms_and_a_double_click_shows_all_again() {
    let script = r#"
        const svg = document.querySelector("[data-chart=loss] > svg");
        const box = svg.getBoundingClientRect();
        const at = (type, share) => svg.dispatchEvent(new PointerEvent(type, {
            button: 0, clientX: box.left + 52 + share * (box.width - 64), clientY: box.top + 80, bubbles: true }));
        const range = () => [Number(svg.dataset.from), Number(svg.dataset.to)];
        const whole = range();
        at("pointerdown", 0.25); at("pointermove", 0.4);
        const selection = svg.querySelectorAll(".selection").length;
        at("pointermove", 0.5); at("pointerup", 0.5);
        const zoomed = range();
        svg.dispatchEvent(new MouseEvent("dblclick"));
        const reset = range();
        at("pointerdown", 0.5); at("pointerup", 0.501);
        const clicked = range();
        svg.dispatchEvent(new KeyboardEvent("keydown", { key: "+" }));
        const nearer = range();
        svg.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
        const escaped = range();
        for (let press = 0; press < 80; press++) svg.dispatchEvent(new KeyboardEvent("keydown", { key: "+" }));
        const nearest = range();
        return { whole, selection, zoomed, reset, clicked, nearer, escaped, nearest, broken: svg.outerHTML.includes("NaN") };
    "#;
    let Some(dom) = show(run("main", 0.0), Vec::new(), WIDE, script) else { return };
    let found = dom.result();
    assert_eq!((&found["whole"], &found["selection"]), (&json!([1, 30]), &json!(1)));
    let zoomed = |key: &str| [0, 1].map(|end| found[key][end].as_f64().unwrap());
    let [from, to] = zoomed("zoomed");
    assert!((from - 8.25).abs() < 0.1 && (to - 15.5).abs() < 0.1, "{from} {to}");
    let [from, to] = zoomed("nearer");
    assert!(from > 1.0 && to < 30.0 && to - from < 16.0, "{from} {to}");
    let [from, to] = zoomed("nearest");
    assert!(to - from > 1e-6 && to - from < 1e-3 && found["broken"] == false, "{found}");
    for whole in ["reset", "clicked", "escaped"] {
        assert_eq!(found[whole], json!([1, 30]), "{whole}");
    }
    dom.is_clean();
}

#[test]
fn legends_axes_smoothing_and_themes_switch() {
    let script = r#"
        const chart = document.querySelector("[data-chart=loss]");
        const svg = chart.querySelector(":scope > svg");
        const curves = () => svg.querySelectorAll("path.curve").length;
        const path = () => svg.querySelector("path.curve").getAttribute("d");
        const before = { curves: curves(), path: path() };
        const button = chart.querySelector(".keys-of button");
        button.click();
        const off = { curves: curves(), pressed: button.getAttribute("aria-pressed") };
        button.click();
        chart.querySelector("button.tool").click();
        const log = path() !== before.path;
        chart.querySelector("button.tool").click();
        document.querySelector("input[value=epoch]").click();
        const epochs = svg.dataset.to;
        const slider = document.getElementById("smoothing");
        slider.value = 0.8;
        slider.dispatchEvent(new Event("input"));
        const smoothed = svg.querySelectorAll("path.raw").length;
        const spread = ["learning_rate", "throughput", "memory"].map((id) => {
            const path = document.querySelector(`[data-chart=${id}] path.curve:not(.raw)`).getAttribute("d");
            const heights = [...path.matchAll(/,([0-9.]+)/g)].map((match) => Number(match[1]));
            return Math.max(...heights) - Math.min(...heights);
        });
        const paper = () => getComputedStyle(document.body).backgroundColor;
        const papers = [paper()];
        for (let turn = 0; turn < 2; turn++) { document.getElementById("theme").click(); papers.push(paper()); }
        return { before, off, log, epochs, smoothed, spread, papers };
    "#;
    let Some(dom) = show(stepwise(), Vec::new(), WIDE, script) else { return };
    let found = dom.result();
    assert_eq!(found["before"]["curves"], 3, "each step, train, validation");
    assert_eq!((&found["off"]["curves"], &found["off"]["pressed"]), (&json!(2), &json!("false")));
    assert_eq!((&found["log"], &found["epochs"], &found["smoothed"]), (&json!(true), &json!("5"), &json!(3)));
    assert_eq!(found["spread"], json!([0, 0, 0]), "what is constant stays constant");
    assert_ne!(found["papers"][0], found["papers"][1]);
    assert_eq!(found["papers"][0], found["papers"][2]);
    dom.is_clean();
}

#[test]
fn tables_sort_and_the_matrix_and_the_pictures_switch() {
    let script = r#"
        const names = () => [...document.querySelectorAll(".sortable tbody th")].map((th) => th.textContent);
        const heading = document.querySelectorAll(".sortable thead button")[1];
        heading.click();
        const falling = names();
        heading.click();
        const rising = names();
        const sorted = heading.closest("th").getAttribute("aria-sort");
        const cell = document.querySelector("td[data-count]");
        const share = cell.textContent;
        document.querySelector("input[value=count]").click();
        const count = cell.textContent;
        cell.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
        const told = document.querySelector(".matrix .readout").textContent;
        const canvas = document.querySelector("canvas[data-sample]");
        const pixels = () => {
            const copy = new OffscreenCanvas(32, 32).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            const data = copy.getImageData(0, 0, 32, 32).data;
            return [0, 5, 20, 31].map((x) => [...data.slice(4 * (x + 32 * 3), 4 * (x + 32 * 3) + 4)]);
        };
        document.getElementById("show-outline").click();
        const opacity = document.getElementById("opacity");
        const half = pixels()[2][3];
        opacity.value = 1;
        opacity.dispatchEvent(new Event("input", { bubbles: true }));
        const shown = {};
        for (const fill of ["none", "target", "prediction", "errors"]) {
            document.querySelector(`input[name=fill][value=${fill}]`).click();
            shown[fill] = pixels();
        }
        document.getElementById("show-input").click();
        const input = getComputedStyle(document.querySelector(".stack img")).visibility;
        canvas.closest("button").click();
        const large = canvas.closest("button").getAttribute("aria-expanded");
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width * 0.6, clientY: box.top + 3 }));
        const under = canvas.closest("figure").querySelector(".readout").textContent;
        return { falling, rising, sorted, share, count, told, shown, half, input, large, under };
    "#;
    let Some(dom) = show(run("main", 0.0), Vec::new(), WIDE, script) else { return };
    let found = dom.result();
    assert_eq!((&found["falling"], &found["rising"]), (&json!(["sky", "pet", "edge"]), &json!(["edge", "pet", "sky"])));
    assert_eq!(found["sorted"], "ascending");
    assert_eq!((&found["share"], &found["count"]), (&json!("80.0\u{a0}%"), &json!("8,000")));
    assert_eq!(found["told"], "target pet, predicted pet: 8,000 pixels, 80.0\u{a0}% of pet");
    // The target is pet on the left and sky on the right; the prediction has pet up to two thirds.
    let [none, pet, sky, wrong] = [[0, 0, 0, 0], [200, 0, 0, 255], [0, 0, 200, 255], [213, 94, 0, 255]];
    assert_eq!(found["shown"]["none"], json!([none, none, none, none]));
    assert_eq!(found["shown"]["target"], json!([pet, pet, sky, sky]));
    assert_eq!(found["shown"]["prediction"], json!([pet, pet, pet, sky]));
    assert_eq!(found["shown"]["errors"], json!([none, none, wrong, none]));
    assert_eq!(found["half"], 128);
    assert_eq!((&found["input"], &found["large"]), (&json!("hidden"), &json!("true")));
    assert_eq!(found["under"], "target sky, predicted pet");
    dom.is_clean();
}

#[test]
fn names_that_are_programs_stay_names() {
    const EVIL: &str = "</script><script>window.harmed = 1</script><img src=x onerror=\"window.harmed = 2\">'\"";
    let mut run = run(EVIL, 0.0);
    run.folder = EVIL.into();
    run.config = json!({ EVIL: EVIL });
    run.environment = vec![(EVIL.into(), EVIL.into())];
    run.classes[0] = Class { name: EVIL.into(), ..run.classes[0].clone() };
    for line in &mut run.history.lines {
        line.scalars.insert(format!("iou/{EVIL}"), Some(0.5));
    }
    for sample in run.evaluation.iter_mut().flat_map(|evaluation| &mut evaluation.worst) {
        sample.name = EVIL.into();
    }
    let script = r#"
        for (const type of ["pointermove", "pointerover"]) {
            for (const target of document.querySelectorAll("svg, canvas, td")) {
                const box = target.getBoundingClientRect();
                const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
                target.dispatchEvent(new PointerEvent(type, at));
            }
        }
        const legend = document.querySelector("[data-chart=class_iou] .keys-of button").textContent;
        const inside = document.querySelector("[data-chart=class_iou] .values").textContent.includes("<script>");
        return { harmed: window.harmed ?? 0, title: document.querySelector("h1").textContent, legend, inside };
    "#;
    let Some(dom) = show(run.clone(), vec![run], WIDE, script) else { return };
    let found = dom.result();
    assert_eq!(found["harmed"], 0);
    assert_eq!((&found["title"], &found["legend"], &found["inside"]), (&json!(EVIL), &json!(EVIL), &json!(true)));
    dom.is_clean();
}

#[test]
fn a_run_without_anything_and_a_narrow_window_are_fine() {
    let Some(dom) =
        show(bare(), Vec::new(), WIDE, "return { warnings: document.querySelectorAll('.warning').length };")
    else {
        return;
    };
    assert_eq!(dom.result()["warnings"], 0);
    dom.is_clean();
    // Chromium cannot make its window this narrow, but the page can be.
    let script = r#"
        document.documentElement.style.width = "390px";
        await new Promise((done) => setTimeout(done, 300));
        const wide = [...document.querySelectorAll("body *")].filter((element) => {
            const scrolls = element.parentElement.closest(".scroll, nav, svg, .stack");
            return !scrolls && element.getBoundingClientRect().right > 390.5;
        });
        return { width: document.body.offsetWidth, wide: wide.map((element) => element.outerHTML.slice(0, 80)) };
    "#;
    let Some(dom) = show(run("main", 0.0), vec![run("other", 0.1)], 500, script) else { return };
    assert_eq!(dom.result(), json!({"width": 390, "wide": []}));
    dom.is_clean();
}
