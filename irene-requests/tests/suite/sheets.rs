//! Request sheets are read back as they were written; faults name their line and column, and keep no other row from being read.

use irene_requests::{Error, Figure, Figures, Load, RequestReader, RequestRow, write};
use irene_tree::{Format, Kernels, Parallel};
use proptest::prelude::*;

fn read(text: &str) -> Vec<Result<RequestRow, String>> {
    let reader = RequestReader::new("my.csv", text.as_bytes()).unwrap();
    reader.map(|row| row.map_err(|error| error.to_string())).collect()
}

fn rows(text: &str) -> Vec<RequestRow> {
    read(text).into_iter().map(Result::unwrap).collect()
}

fn written(rows: &[RequestRow]) -> String {
    let mut text = Vec::new();
    write(&mut text, rows).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_row_has_its_settings_figures_and_further_columns() {
    let text = "# by hand\nmodel,device,engine,weights,kernels,concurrency,prompt,generated,tp,dp,energy_per_token_j,energy_per_token_j_low,latency_ms,who,why\n\
                llama-3.1-8b,h100-sxm,vllm-0.11,bfloat16,fused,31.5,1500,219.75,2.0,,0.25,0,1500,me, as it is \n";
    let rows = read(text);
    let expected = RequestRow {
        line: 3,
        model: Some("llama-3.1-8b".into()),
        device: Some("h100-sxm".into()),
        engine: Some("vllm-0.11".into()),
        weights: Some(Format::BF16),
        kernels: Some(Kernels::Fused),
        load: Some(Load::Concurrency(31.5)),
        prompt: Some(1500.0),
        generated: Some(219.75),
        parallel: Parallel { tensor: 2, ..Parallel::default() },
        figures: Figures { energy_per_token_j: Some(0.25), latency_s: Some(1.5), ..Figures::default() },
        low: Figures { energy_per_token_j: Some(0.0), ..Figures::default() },
        high: Figures::default(),
        further: vec![("who".into(), "me".into()), ("why".into(), " as it is ".into())],
        ..RequestRow::default()
    };
    assert_eq!(rows, [Ok(expected)]);
}

#[test]
fn a_mean_time_between_tokens_makes_the_latency_where_the_first_is_known() {
    let figures = |titles: &str, cells: &str| {
        let rows = read(&format!("model,generated,{titles}\ngpt2,101,{cells}\n"));
        let Figures { itl_s, latency_s, .. } = rows[0].as_ref().unwrap().figures;
        (itl_s, latency_s)
    };
    assert_eq!(figures("ttft_s,tpot_s", "0.5,0.25"), (None, Some(25.5)));
    assert_eq!(figures("tpot_s", "0.25"), (Some(0.25), None));
    assert_eq!(figures("ttft_s,median_itl_s", "0.5,0.25"), (Some(0.25), None));
    assert_eq!(figures("ttft_s,tpot_s,latency_s", "0.5,0.25,30"), (Some(0.25), Some(30.0)));
    assert_eq!(figures("ttft_s,tpot_s,itl_s", "0.5,0.25,0.125"), (Some(0.125), None));
}

#[test]
fn a_degree_of_1_that_a_row_says_is_told_from_one_that_it_does_not() {
    let text = "model,tensor_parallel,data_parallel\na,1,\nb,,2\n";
    let rows = rows(text);
    let stated: Vec<[bool; 4]> = rows.iter().map(|row| row.stated_ones).collect();
    assert_eq!(stated, [[true, false, false, false], [false; 4]]);
    assert_eq!(written(&rows), text);
}

#[test]
fn separators_marks_and_empty_lines_do_not_matter() {
    for text in ["\u{feff}model;power_w\r\na;1,5\r\n;\r\n", "model\tpower_w\n\na\t1.5\n", "model,power_w\na,1.5\n,\n"] {
        let rows = read(text);
        assert_eq!(rows.len(), 1, "{text}");
        assert_eq!(rows[0].as_ref().unwrap().figures.power_w, Some(1.5), "{text}");
    }
}

#[test]
fn a_fault_names_its_line_whatever_ends_or_precedes_it() {
    for (text, line) in [
        ("model,tensor_parallel\na,1.5\n", 2),
        ("model,tensor_parallel\r\na,1\r\n# a note\r\n\r\na,1.5\r\n", 5),
        ("# of May\nmodel,tensor_parallel\n\n\n# a note\na,1.5", 6),
        ("model,tensor_parallel\n\"two\nlines\",1\na,1.5\n", 4),
    ] {
        let faults: Vec<String> = read(text).into_iter().filter_map(Result::err).collect();
        assert_eq!(faults.len(), 1, "{text:?}");
        assert!(faults[0].starts_with(&format!("my.csv, line {line}, ")), "{text:?}: {}", faults[0]);
    }
}

#[test]
fn a_fault_names_line_and_column_and_the_other_rows_are_read() {
    let text = "model,weights,sequences,rate,tp,power_w\n\
                a,,0,,,\na,,,,1.5,\na,bf17,,,,\na,,2,1,,\na,,,,,0\na,,,,,1 kW\na,,1\na,,,,,inf\na,,8,,2,100\n";
    let rows = read(text);
    let faults: Vec<&str> = rows[..8].iter().map(|row| row.as_ref().unwrap_err().as_str()).collect();
    let starts = [
        "my.csv, line 2, column `sequences`: 0 is not a whole number from 1",
        "my.csv, line 3, column `tp`: 1.5 is not a whole number from 1",
        "my.csv, line 4, column `weights`: `bf17` is not a number format; there are f64, f32",
        "my.csv, line 5, column `rate`: a row has one of sequences, concurrency and rate",
        "my.csv, line 6, column `power_w`: 0 is not above 0: leave the cell empty",
        "my.csv, line 7, column `power_w`: `1 kW` is not a number",
        "my.csv, line 8: it has 3 cells where the first line has 6",
        "my.csv, line 9, column `power_w`: `inf` is not a number",
    ];
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}");
    }
    assert_eq!(rows[8].as_ref().unwrap().load, Some(Load::Sequences(8)));
    // Bytes that are no UTF-8 spoil their row alone.
    let reader = RequestReader::new("my.csv", &b"model,power_w\n\xff,1\nb,2\n"[..]).unwrap();
    let rows: Vec<_> = reader.collect();
    assert!(matches!(&rows[0], Err(Error::Row { line: 2, column, .. }) if column == "model"));
    assert!(rows[1].is_ok());
}

#[test]
fn a_file_that_is_no_sheet_says_what_one_looks_like() {
    for text in [&b""[..], b"\n\n", b"1,2\n3,4\n", b"{\"a\": 1}", b"\xff\xfe"] {
        let fault = RequestReader::new("my.csv", text).err().unwrap().to_string();
        assert!(fault.starts_with("my.csv, line 1: ") && fault.lines().count() == 1, "{fault}");
    }
}

#[test]
fn a_further_column_is_not_taken_for_a_known_one_when_it_is_read_again() {
    let row = read("model,sequences,batch_size\na,,8\n").remove(0).unwrap();
    assert_eq!((row.load, row.further("batch_size")), (None, Some("8")));
    assert_eq!(rows(&written(std::slice::from_ref(&row))), [row]);
}

#[test]
fn columns_of_one_title_are_all_written() {
    let text = "model,,note,note,\na,x,1,2,y\nb,,3,,\n";
    assert_eq!(written(&rows(text)), text);
}

#[test]
fn rows_of_which_nothing_is_known_are_a_sheet_all_the_same() {
    let unknown = rows("device,note\nnan,x\n");
    let text = written(&unknown);
    assert_eq!(text, "model,note\n,x\n");
    assert_eq!(rows(&text), unknown);
}

fn figures(low: f64) -> impl Strategy<Value = Figures> {
    prop::collection::vec(prop::option::weighted(0.5, low..1e9), Figure::ALL.len()).prop_map(|values| {
        let mut figures = Figures::default();
        for (figure, value) in Figure::ALL.into_iter().zip(values) {
            figures.set(figure, value);
        }
        figures
    })
}

fn load() -> impl Strategy<Value = Option<Load>> {
    prop::option::of(prop_oneof![
        (1_usize..100_000).prop_map(Load::Sequences),
        (1e-9..1e6).prop_map(Load::Concurrency),
        (1e-12..1e6).prop_map(Load::Rate),
    ])
}

fn row() -> impl Strategy<Value = RequestRow> {
    let name = || "[a-zA-Z0-9#\"][a-z0-9 ,;.\"'/#-]{0,12}[a-z0-9]".boxed();
    let names = (name(), prop::option::of(name()), prop::option::of(name()));
    let format = || prop::option::of(prop::sample::select(Format::all().collect::<Vec<_>>()));
    let kernels = prop::option::of(prop::sample::select(vec![Kernels::Eager, Kernels::Fused]));
    let tokens = (prop::option::of(0.0..1e7_f64), prop::option::of(0.0..1e7_f64));
    let degrees = (1_usize..99, 1_usize..99, 1_usize..99, 1_usize..99);
    let setting = (names, (format(), format()), kernels, load(), tokens, degrees);
    let further = ("\\PC{0,12}", "[ -~\n\r]{0,12}");
    (setting, figures(1e-15), figures(0.0), figures(1e-15), further).prop_map(
        |(
            ((model, device, engine), (weights, cache), kernels, load, (prompt, generated), degrees),
            figures,
            low,
            high,
            further,
        )| {
            let (tensor, pipeline, expert, data) = degrees;
            RequestRow {
                line: 0,
                model: Some(model),
                device,
                engine,
                weights,
                cache,
                kernels,
                load,
                prompt,
                generated,
                parallel: Parallel { tensor, pipeline, expert, data },
                figures,
                low,
                high,
                further: vec![("note".into(), further.0), ("#more, \"yet\"".into(), further.1)],
                ..RequestRow::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rows in prop::collection::vec(row(), 1..12)) {
        // These mean an absent name.
        prop_assume!(rows.iter().flat_map(|row| [&row.model, &row.device, &row.engine]).flatten().all(|name| !["na", "nan", "none", "null", "n/a"].contains(&name.to_lowercase().as_str())));
        let mut read = self::rows(&written(&rows));
        read.iter_mut().for_each(|row| row.line = 0);
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200), titles in "(model|power_w|sequences|tp|rate|note)([,;\t](kernels|weights|itl_ms|dp|x)){0,4}\n") {
        for text in [bytes.clone(), [titles.as_bytes(), &bytes].concat()] {
            if let Ok(reader) = RequestReader::new("a", &text[..]) {
                // Each line gives a row at most, and so this ends.
                prop_assert!(reader.count() <= text.len());
            }
        }
    }
}
