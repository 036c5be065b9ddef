"""Each format by a small file of its own making, with the header that the source writes."""
# ruff: noqa: E501

import pytest

from portfolio.import_formats.postings import Fault
from tests.portfolio.reading_files import read

# --- Coinbase ---------------------------------------------------------------------------------------------------------

COINBASE = """
Transactions
User,Alice,0c3f
ID,Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Price at Transaction,Subtotal,Total (inclusive of fees and/or spread),Fees and/or Spread,Notes
"""


def coinbase(*lines):
    return read(COINBASE.lstrip("\n") + "\n".join(lines), detected="coinbase")


def test_coinbase_trades_have_the_exact_price_and_the_fee_that_was_paid():
    assert coinbase(
        "1,2026-01-13 12:20:53 UTC,Advanced Trade Buy,ETH,0.04,EUR,€2500.12,€100.00,€100.60,€0.6012345,Bought ETH",
        "2,2026-01-14 09:00:00 UTC,Sell,ETH,-0.01,EUR,€2600.00,€26.00,€25.50,€0.50,Sold ETH",
    ) == [
        {"type": "BUY", "at": "2026-01-13T12:20:53", "symbol": "ETH", "quantity": "0.04", "price": "2500", "fee": "0.6",
         "currency": "EUR"},
        {"type": "SELL", "at": "2026-01-14T09:00:00", "symbol": "ETH", "quantity": "0.01", "price": "2600", "fee": "0.5",
         "currency": "EUR"},
    ]  # fmt: skip


def test_coinbase_moves_of_money_are_flows_and_of_coins_are_transfers():
    rows = coinbase(
        "3,2026-01-01 00:00:01 UTC,Deposit,EUR,100,EUR,€1.00,€100.00,€100.00,€0.00,Deposit",
        "4,2026-01-02 00:00:01 UTC,Receive,BTC,0.5,EUR,€50000.00,€25000.00,€25000.00,€0.00,from a wallet",
        "5,2026-01-03 00:00:01 UTC,Send,BTC,-0.1,EUR,€50000.00,€5000.00,€5000.00,€0.00,to a wallet",
        "6,2026-01-04 00:00:01 UTC,Retail Staking Transfer,SOL,0.1,EUR,€133.07,€13.3,€13.3,€0.00,",
    )
    assert [(row["type"], row.get("amount") or row["quantity"]) for row in rows] == [
        ("DEPOSIT", "100"), ("TRANSFER_IN", "0.5"), ("TRANSFER_OUT", "0.1"),
    ]  # fmt: skip


def test_a_coinbase_reward_is_income_and_a_purchase_for_as_much():
    income, bought = coinbase("7,2026-02-01 00:00:00 UTC,Staking Income,ETH,0.01,USD,$3000.00,$30.00,$30.00,$0.00,")
    assert (income["type"], income["amount"]) == ("DIVIDEND", "30")
    assert (bought["type"], bought["quantity"], bought["price"]) == ("BUY", "0.01", "3000")


def test_a_coinbase_conversion_sells_one_coin_and_buys_another():
    sold, bought = coinbase(
        "8,2026-02-01 00:00:00 UTC,Convert,ADA,-100,EUR,€0.50,€48.50,€50.00,€1.50,Converted 100 ADA to 0.02 ETH"
    )
    assert (sold["type"], sold["symbol"], sold["quantity"], sold["price"], sold["fee"]) == (
        "SELL",
        "ADA",
        "100",
        "0.5",
        "1.5",
    )
    assert (bought["type"], bought["symbol"], bought["quantity"], bought["price"]) == ("BUY", "ETH", "0.02", "2425")


def test_what_coinbase_writes_and_is_not_known_names_row_and_column():
    assert coinbase(
        "9,2026-02-01 00:00:00 UTC,Teleport,ETH,1,EUR,€1,€1,€1,€0,", "10,2026-02-01 00:00:00 UTC,Buy,ETH"
    ) == [
        (4, "Transaction Type", "“Teleport” is not known here."),
        (5, "Price Currency", "The row ends before this column."),
    ]


# --- Binance ----------------------------------------------------------------------------------------------------------


def test_binance_trades_in_both_headers():
    new = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee\n2026-01-15 10:30:00,BTCUSDT,BUY,42000,0.05BTC,2100USDT,0.0001BNB\n"
    old = 'Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin\n26-01-15 10:30:00,ETHBTC,SELL,0.05,"1,000",50,0.05,BTC\n'
    assert read(new, detected="binance") == [
        {"type": "BUY", "at": "2026-01-15T10:30:00", "symbol": "BTCUSDT", "quantity": "0.05", "price": "42000",
         "fee": "0.0001", "fee_currency": "BNB", "currency": "USDT"}
    ]  # fmt: skip
    assert read(old, detected="binance") == [
        {"type": "SELL", "at": "2026-01-15T10:30:00", "symbol": "ETHBTC", "quantity": "1000", "price": "0.05",
         "fee": "0.05", "fee_currency": "BTC", "currency": "BTC"}
    ]  # fmt: skip


def test_binances_movements_of_one_second_make_a_trade():
    rows = read(
        "User_ID,UTC_Time,Account,Operation,Coin,Change,Remark\n"
        "1,2026-01-04 11:00:00,Spot,Deposit,USDT,500,\n"
        "1,2026-01-04 11:20:13,Spot,Transaction Buy,SOL,2,\n"
        "1,2026-01-04 11:20:13,Spot,Transaction Spend,USDT,-400,\n"
        "1,2026-01-04 11:20:13,Spot,Transaction Fee,BNB,-0.001,\n"
        "1,2026-01-05 11:20:13,Spot,Binance Convert,SOL,-1,\n"
        "1,2026-01-05 11:20:13,Spot,Binance Convert,BTC,0.002,\n"
        "1,2026-01-06 00:00:00,Spot,Transfer Between Main and Funding Wallet,SOL,-1,\n"
        "1,2026-01-07 00:00:00,Earn,Simple Earn Flexible Interest,USDT,0.25,\n"
        "1,2026-01-08 00:00:00,Spot,Teleport,USDT,1,\n",
        detected="binance",
    )
    assert rows == [
        {"type": "DEPOSIT", "at": "2026-01-04T11:00:00", "amount": "500", "currency": "USDT"},
        {"type": "BUY", "at": "2026-01-04T11:20:13", "symbol": "SOL", "quantity": "2", "price": "200", "currency": "USDT",
         "fee": "0.001", "fee_currency": "BNB"},
        {"type": "SELL", "at": "2026-01-05T11:20:13", "symbol": "SOL", "quantity": "1", "price": "0.002",
         "currency": "BTC", "fee": "0", "fee_currency": "BTC"},
        {"type": "INTEREST", "at": "2026-01-07", "amount": "0.25", "currency": "USDT"},
        (10, "Operation", "“Teleport” is not known here."),
    ]  # fmt: skip


def test_binances_transfers_say_by_an_option_which_way_they_go():
    text = (
        "Date(UTC+0),Coin,Network,Amount,TransactionFee,Address,TXID,SourceAddress,PaymentID,Status\n"
        "26-01-15 10:30:00,BTC,BTC,0.5,0.0001,bc1q,abc,,,Completed\n26-01-16 10:30:00,BTC,BTC,9,0,bc1q,abd,,,Failed\n"
    )
    assert "types" in read(text)[0][2]
    assert [(row["type"], row["quantity"]) for row in read(text, types={"transfer": "WITHDRAWAL"})] == [
        ("TRANSFER_OUT", "0.5"), ("TRANSFER_OUT", "0.0001"),
    ]  # fmt: skip


# --- Interactive Brokers ----------------------------------------------------------------------------------------------

FLEX = (
    '"ClientAccountID","CurrencyPrimary","FXRateToBase","AssetClass","Symbol","DateTime","Quantity","TradePrice",'
    '"IBCommission","IBCommissionCurrency","Buy/Sell","TradeID","LevelOfDetail"\n'
)


def test_a_flex_file_has_several_tables_and_counts_executions_once():
    rows = read(
        FLEX
        + '"U1","USD","0.9","STK","AAPL","20260105;103000","10","150.25","-1","USD","BUY","7","EXECUTION"\n'
        + '"U1","USD","0.9","STK","AAPL","20260105;103000","10","150.25","-1","USD","BUY","","ORDER"\n'
        + '"U1","EUR","1","STK","SAP","20260106;103000","-2","120","0.1","EUR","SELL","8","EXECUTION"\n'
        + '"U1","USD","0.9","CASH","EUR.USD","20260107;103000","100","1.10","-2","EUR","BUY","9","EXECUTION"\n'
        + '"ClientAccountID","CurrencyPrimary","FXRateToBase","Symbol","Description","Date/Time","Amount","Type",'
        + '"TransactionID","LevelOfDetail"\n'
        + '"U1","USD","0.9","AAPL","AAPL CASH DIVIDEND","20260212","2.6","Dividends","11","DETAIL"\n'
        + '"U1","USD","0.9","AAPL","AAPL US TAX","20260212","-0.39","Withholding Tax","12","DETAIL"\n'
        + '"U1","EUR","1","","","20260213","1000","Deposits/Withdrawals","13","DETAIL"\n',
        detected="interactive_brokers",
        base_currency="EUR",
    )
    assert rows == [
        {"type": "BUY", "at": "2026-01-05T15:30:00", "symbol": "AAPL", "quantity": "10", "price": "150.25", "fee": "1",
         "fee_currency": "USD", "currency": "USD", "fx_rate": "0.9"},
        {"type": "SELL", "at": "2026-01-06T15:30:00", "symbol": "SAP", "quantity": "2", "price": "120", "fee": "0",
         "fee_currency": "EUR", "currency": "EUR"},
        {"type": "INTEREST", "at": "2026-01-06T15:30:00", "amount": "0.1", "currency": "EUR"},
        {"type": "FX_CONVERSION", "at": "2026-01-07T15:30:00", "amount": "110", "currency": "USD", "to_currency": "EUR",
         "to_amount": "100", "fee": "2", "fee_currency": "EUR", "fx_rate": "0.909090909090909091"},
        {"type": "DIVIDEND", "at": "2026-02-12", "symbol": "AAPL", "amount": "2.6", "currency": "USD", "fx_rate": "0.9"},
        {"type": "TAX", "at": "2026-02-12", "symbol": "AAPL", "amount": "0.39", "currency": "USD", "fx_rate": "0.9"},
        {"type": "DEPOSIT", "at": "2026-02-13", "amount": "1000", "currency": "EUR"},
    ]  # fmt: skip


def test_a_flex_file_with_marked_lines_reads_alike():
    header, line = FLEX.strip(), '"U1","USD","1","STK","AAPL","20260105","10","150","-1","USD","BUY","7","EXECUTION"'
    marked = f'"BOF","U1","q","1"\n"BOS","TRNT","Trades"\n"HEADER","TRNT",{header}\n"DATA","TRNT",{line}\n"EOS","TRNT"\n"EOF"\n'
    assert read(marked) == read(f"{header}\n{line}\n")


def test_a_flex_file_of_several_accounts_asks_which():
    line = '"{}","USD","1","STK","AAPL","20260105","10","150","-1","USD","BUY","7","EXECUTION"\n'
    text = FLEX + line.format("U1") + line.format("U2")
    with pytest.raises(Fault, match="account"):
        read(text)
    assert len(read(text, account="U2")) == 1


STATEMENT = """Statement,Header,Field Name,Field Value
Statement,Data,BrokerName,Interactive Brokers
Account Information,Header,Field Name,Field Value
Account Information,Data,Base Currency,USD
Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,C. Price,Proceeds,Comm/Fee,Basis,Realized P/L,MTM P/L,Code
Trades,Data,Order,Stocks,USD,AAPL,"2026-01-05, 10:30:00","1,000",150.25,151,-150250,-1,150251,0,0,O
Trades,SubTotal,,Stocks,USD,AAPL,,1000,,,-150250,-1,150251,0,0,
Trades,Data,Order,Equity and Index Options,USD,AAPL 16JAN26 40 C,"2026-01-05, 10:30:00",1,1,1,-100,-1,101,0,0,O
Trades,Total,,Stocks,USD,,,,,,-150250,-1,150251,0,0,
Dividends,Header,Currency,Date,Description,Amount
Dividends,Data,USD,2026-02-12,AAPL(US0378331005) Cash Dividend USD 0.26 per Share (Ordinary Dividend),260
Dividends,Data,Total,,,260
Withholding Tax,Header,Currency,Date,Description,Amount,Code
Withholding Tax,Data,USD,2026-02-12,AAPL(US0378331005) Cash Dividend USD 0.26 per Share - US Tax,-39,
Fees,Header,Subtitle,Currency,Date,Description,Amount
Fees,Data,Other Fees,USD,2026-02-13,Snapshot,-0.03
Corporate Actions,Header,Asset Category,Currency,Report Date,Date/Time,Description,Quantity,Proceeds,Value,Realized P/L,Code
Corporate Actions,Data,Stocks,USD,2026-03-02,"2026-03-01, 20:25:00","AAPL(US0378331005) Split 4 for 1 (AAPL, APPLE INC, US0378331005)",3000,0,0,0,
Corporate Actions,Data,Stocks,USD,2026-03-03,"2026-03-02, 20:25:00","OLD(US1) Merged(Acquisition) WITH US2 1 for 8 (NEW, NEW CORP, US2)",10,0,0,0,
Corporate Actions,Data,Stocks,USD,2026-03-03,"2026-03-02, 20:25:00","OLD(US1) Merged(Acquisition) WITH US2 1 for 8 (OLD, OLD CORP, US1)",-80,0,0,0,
Corporate Actions,Data,Stocks,USD,2026-03-04,"2026-03-03, 20:25:00","XYZ(US3) Tendered to US4",-80,0,0,0,
"""


def test_an_activity_statement_is_read_by_its_sections():
    assert read(STATEMENT, detected="interactive_brokers") == [
        {"type": "BUY", "at": "2026-01-05T15:30:00", "symbol": "AAPL", "quantity": "1000", "price": "150.25", "fee": "1",
         "fee_currency": "USD", "currency": "USD"},
        (8, "Asset Category", "Equity and Index Options are not kept here, only shares, funds and coins."),
        {"type": "DIVIDEND", "at": "2026-02-12", "symbol": "AAPL", "amount": "260", "currency": "USD"},
        {"type": "TAX", "at": "2026-02-12", "symbol": "AAPL", "amount": "39", "currency": "USD"},
        {"type": "FEE", "at": "2026-02-13", "amount": "0.03", "currency": "USD"},
        {"type": "SPLIT", "at": "2026-03-02T01:25:00", "symbol": "AAPL", "ratio": "4", "currency": "USD"},
        {"type": "MERGER", "at": "2026-03-03T01:25:00", "symbol": "OLD", "to_symbol": "NEW", "ratio": "0.125",
         "currency": "USD"},
        (21, "Description", "This action is not understood: post it by hand."),
    ]  # fmt: skip


# --- Ghostfolio -------------------------------------------------------------------------------------------------------


def test_ghostfolio_tells_the_same_in_json_and_in_csv():
    by_json = read(
        '{"meta": {"version": "2"}, "activities": ['
        '{"date": "2026-01-05T00:00:00.000Z", "type": "BUY", "symbol": "AAPL", "quantity": 10, "unitPrice": 0.1,'
        ' "fee": 19, "currency": "USD", "dataSource": "YAHOO", "comment": null, "id": "a"},'
        '{"date": "2026-02-05T00:00:00.000Z", "type": "DIVIDEND", "symbol": "AAPL", "quantity": 10, "unitPrice": 0.62,'
        ' "fee": 0, "currency": "USD", "dataSource": "YAHOO", "comment": null, "id": "b"},'
        '{"date": "2026-02-06T00:00:00.000Z", "type": "FEE", "symbol": "x", "quantity": 0, "unitPrice": 0, "fee": 4.9,'
        ' "currency": "USD", "dataSource": "MANUAL"},'
        '{"date": "2026-02-06", "type": "ITEM", "symbol": "Flat", "quantity": 1, "unitPrice": 5, "currency": "USD"},'
        '{"date": "2026-02-06", "type": "BUY", "symbol": "AAPL", "quantity": [1], "unitPrice": 5, "currency": "USD"}]}',
        detected="ghostfolio",
    )
    by_csv = read(
        "Date,Code,DataSource,Currency,Price,Quantity,Action,Fee,Note\n"
        "05-01-2026,AAPL,YAHOO,USD,0.1,10,buy,19.00,first\n05-02-2026,AAPL,YAHOO,USD,0.62,10,dividend,0.00\n"
        "06-02-2026,x,MANUAL,USD,0,0,fee,4.9,\n16-02-2026,Flat,MANUAL,USD,5,1,item,0,\n",
        detected="ghostfolio",
    )
    assert by_json[-1] == (5, "quantity", "A string or a number is expected.")
    assert by_csv == by_json[:-1] == [
        {"type": "BUY", "at": "2026-01-05", "symbol": "AAPL", "quantity": "10", "price": "0.1", "fee": "19",
         "currency": "USD"},
        {"type": "DIVIDEND", "at": "2026-02-05", "symbol": "AAPL", "amount": "6.2", "fee": "0", "currency": "USD"},
        {"type": "FEE", "at": "2026-02-06", "amount": "4.9", "currency": "USD"},
    ]  # fmt: skip


# --- Portfolio Performance --------------------------------------------------------------------------------------------

PP_DE = (
    "Datum;Typ;Wert;Buchungswährung;Bruttobetrag;Währung Bruttobetrag;Wechselkurs;Gebühren;Steuern;Stück;ISIN;WKN;"
    "Ticker-Symbol;Wertpapiername;Notiz\n"
)
PP_EN = (
    "Date,Type,Value,Transaction Currency,Gross Amount,Currency Gross Amount,Exchange Rate,Fees,Taxes,Shares,ISIN,WKN,"
    "Ticker Symbol,Security Name,Note\n"
)


def test_portfolio_performance_in_german():
    rows = read(
        PP_DE
        + "2026-01-15T00:00;Einlage;5.000,00;EUR;;;;;;;;;;;\n"
        + "2026-01-16T09:30;Kauf;-1.004,99;EUR;;;;4,99;;10;IE00B4L5Y983;A0RPWH;EUNL.DE;iShares Core;Sparplan\n"
        + "2026-03-15T00:00;Dividende;8,50;EUR;;;;;1,50;10;IE00B4L5Y983;A0RPWH;EUNL.DE;iShares Core;\n"
        + "2026-06-03T14:00;Verkauf;520,00;EUR;;;;5,00;15,00;5;IE00B4L5Y983;A0RPWH;EUNL.DE;iShares Core;\n"
        + "2026-07-01T00:00;Einlieferung;1.500,00;EUR;;;;;;3;DE0007164600;716460;;SAP SE;Depotwechsel\n"
        + "2026-07-02T00:00;Steuerrückerstattung;3,20;EUR;;;;;;;;;;;\n",
        detected="portfolio_performance",
    )
    assert rows == [
        {"type": "DEPOSIT", "at": "2026-01-15", "amount": "5000", "currency": "EUR"},
        {"type": "BUY", "at": "2026-01-16T09:30:00", "symbol": "EUNL.DE", "quantity": "10", "price": "100",
         "fee": "4.99", "fee_currency": "EUR", "currency": "EUR"},
        {"type": "DIVIDEND", "at": "2026-03-15", "symbol": "EUNL.DE", "amount": "10", "withholding": "1.5",
         "currency": "EUR"},
        {"type": "SELL", "at": "2026-06-03T14:00:00", "symbol": "EUNL.DE", "quantity": "5", "price": "108", "fee": "5",
         "fee_currency": "EUR", "currency": "EUR"},
        {"type": "TAX", "at": "2026-06-03T14:00:00", "symbol": "EUNL.DE", "amount": "15", "currency": "EUR"},
        {"type": "TRANSFER_IN", "at": "2026-07-01", "symbol": "DE0007164600", "quantity": "3", "price": "500",
         "fee": "0", "fee_currency": "EUR", "currency": "EUR"},
        {"type": "TAX", "at": "2026-07-02", "amount": "-3.2", "currency": "EUR"},
    ]  # fmt: skip


def test_portfolio_performance_trades_in_another_currency_exchange_first():
    exchanged, bought = read(
        PP_EN + '2026-02-01T10:00,Buy,"2,112.40",EUR,"2,300.00",USD,1.0900,1.00,,12.5,US0378331005,865985,AAPL,Apple,\n'
    )
    assert exchanged == {
        "type": "FX_CONVERSION", "at": "2026-02-01T10:00:00", "amount": "2111.4", "currency": "EUR", "to_currency": "USD",
        "to_amount": "2300",
    }  # fmt: skip
    assert (bought["price"], bought["currency"], bought["fee"], bought["fee_currency"]) == ("184", "USD", "1", "EUR")


# --- Ours, and whatever a mapping fits --------------------------------------------------------------------------------


def test_usual_headers_are_found_without_a_mapping():
    assert read(
        "Trade Date,Action,Ticker,Shares,Unit Price,Commission,CCY,Comment\n13/01/2026,Bought,AAPL,10,150.5,1,usd,=cmd|' /C calc'!A0\n"
    ) == [
        {"type": "BUY", "at": "2026-01-13", "symbol": "AAPL", "quantity": "10", "price": "150.5", "fee": "1",
         "currency": "USD"}
    ]  # fmt: skip


def test_a_mapping_names_columns_types_and_signs():
    text = "Wann;Was;Welches;Menge;Summe;Kosten\n13.01.2026;Erwerb;SAP;4;-100,50;-1,50\n"
    assert read(
        text,
        preset="generic",
        mapping={"at": "Wann", "type": "Was", "symbol": "Welches", "quantity": "Menge", "amount": "Summe", "fee": "-Kosten"},
        types={"erwerb": "BUY"},
        currency="EUR",
    ) == [
        {"type": "BUY", "at": "2026-01-13", "symbol": "SAP", "quantity": "4", "price": "25.125", "fee": "1.5",
         "currency": "EUR"}
    ]  # fmt: skip
    with pytest.raises(Fault, match="no column Nirgends"):
        read(text, preset="generic", mapping={"at": "Nirgends"})
    with pytest.raises(Fault, match="knows no colour"):
        read(text, preset="generic", mapping={"colour": "Was"})


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2026-01-05,BUY,AAPL,NaN,1", (2, "quantity", "“NaN” is not a number.")),
        (
            "2026-01-05,BUY,AAPL,1e400,1",
            (2, "quantity", "The number is too large: at most 20 digits before the point."),
        ),
        ("2026-01-05,BUY,AAPL,=1+1,1", (2, "quantity", "“=1+1” is not a number.")),
        (
            "2026-01-05,GIFT,AAPL,1,1",
            (2, "type", "“GIFT” is no type known here: say `types`, such as {“GIFT”: “BUY”}."),
        ),
        ("yesterday,BUY,AAPL,1,1", (2, "date", "“yesterday” is no date that can be read here.")),
        ("2026-01-05,BUY,AAP", (2, "quantity", "The row ends before this column.")),
        ("2026-01-05,BUY,AAPL,-1,1", (2, "quantity", "It can't be negative.")),
    ],
)
def test_a_bad_row_names_its_line_and_column(row, fault):
    assert read(f"date,type,symbol,quantity,price\n{row}\n") == [fault]
