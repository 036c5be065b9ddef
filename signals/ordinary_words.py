"""What words mean besides companies and coins: for telling the one from the other (`linking.py`). Our own lists.
Pure."""

from typing import Final

# Names, and symbols in lower case, that are words as well: they link only among a company's (or coins') words.
WORDS: Final = frozenset({
    "ally", "alphabet", "amazon", "apple", "arm", "best", "block", "booking", "boot", "box", "bridge", "bumble",
    "camping",
    "canopy", "carnival", "caterpillar", "chewy", "coach", "coupling", "crown", "delta", "diamond",
    "discover",
    "discovery", "dollar", "dominion", "dutch", "eagle", "edison", "equity", "first", "five",
    "fluence",
    "ford", "fox", "frontier", "gap", "general", "genius", "global", "globe", "guess", "hess", "key",
    "lemonade", "life", "lucid", "magna", "match", "merit", "meta", "micron", "monster", "moody",
    "news",
    "nice", "nova", "nu", "opera", "oracle", "orange", "palm", "paramount", "peloton", "pilgrim", "pool",
    "progressive",
    "public", "pulse", "realty", "regions", "republic", "root", "sage", "service", "shell", "shift", "snap",
    "southern",
    "sphere", "spirit", "sprout", "square", "standard", "sun", "sunrise", "target", "toast", "total", "trade",
    "travelers",
    "twist", "union", "unity", "universal", "upstart", "vale", "vertex", "visa", "wave", "western",
    "williams", "wolf", "workday", "zoom",
    # coins
    "algorand", "aptos", "arbitrum", "avalanche", "axie", "celestia", "compound", "cosmos", "curve", "dash", "flow",
    "graph",
    "harmony", "hedera", "injective", "internet", "maker", "mantle", "mina", "near", "ocean", "optimism", "pepe",
    "polygon",
    "quant", "render", "sandbox", "stacks", "stellar", "sui", "theta", "ton", "tron", "waves", "worldcoin",
    # symbols
    "all", "any", "ape", "are", "bat", "beat", "big", "bit", "car", "care", "cash", "cat", "cost", "dot", "eat", "fast",
    "fun",
    "gas", "gold", "good", "hot", "home", "ice", "joy", "kind", "land", "link", "live", "loan", "love", "low", "man",
    "mask",
    "med", "net", "new", "next", "now", "off", "old", "one", "open", "out", "pay", "plan", "play", "plus", "power",
    "real", "ride",
    "run", "safe", "sand", "save", "see", "ship", "sky", "special", "spot", "stay", "super", "team", "tech", "the",
    "tree", "true",
    "two", "usa", "very", "well", "who", "wish", "work", "you",
})  # fmt: skip

# Alone these never name anything.
NEVER: Final = frozenset({
    "and", "bank", "bitcoin-usd", "capital", "energy", "euro", "financial", "fund", "group", "holdings", "industries",
    "new",
    "international", "national", "pound", "systems", "technology", "tether", "the", "trust", "usd", "dollar", "yen",
})  # fmt: skip

# In capitals, and no symbols although some are.
ACRONYMS: Final = frozenset({
    "ACA", "AGM", "AMA", "API", "APR", "ASX", "ATH", "ATM", "AUD", "AUM", "BOE", "BOJ", "BRICS", "CAD", "CBDC", "CDC",
    "CEO", "CEX",
    "CFO", "CFTC", "CHF", "CIA", "CME", "CMO", "CNBC", "CNN", "CNY", "COO", "COVID", "CPI", "CTO", "DAO", "DAX", "DEA",
    "DEX", "DOE",
    "DOJ", "EBITDA", "ECB", "EPA", "EPS", "ESG", "ETF", "ETFS", "ETN", "EUR", "FAA", "FBI", "FCC", "FDA", "FDIC", "FED",
    "FIFA", "FOMC",
    "FSB", "FTC", "FTSE", "GAAP", "GBP", "GDP", "GMT", "HKD", "ICO", "IDC", "ILO", "IMF", "INR", "IPO", "IRA", "IRS",
    "JPY", "KES",
    "KYC", "LLC", "LNG", "LTD", "MOU", "NASA", "NATO", "NAV", "NFL", "NFT", "NFTS", "NHS", "NSE", "NYC", "NYSE", "OECD",
    "OPEC", "OTC",
    "PBOC", "PCE", "PLC", "PMI", "PPI", "PRC", "RBA", "RBI", "REIT", "ROI", "RSI", "SEC", "SNB", "SPAC", "TSX", "TVL",
    "UAE", "UNESCO",
    "USD", "USDC", "USDT", "VIX", "WEF", "WHO", "WSJ", "WTI", "WTO", "YOY", "YTD", "ZAR",
})  # fmt: skip

# Words that say: this is about business.
BUSINESS: Final = frozenset({
    "acquires", "acquisition", "analyst", "analysts", "antitrust", "bonds", "buyback", "buyout", "ceo", "cfo", "chief",
    "company",
    "dividend", "dividends", "dow", "downgrade", "downgraded", "downgrades", "earnings", "eps", "estimates",
    "executive", "filing",
    "forecast", "guidance", "inc", "investor", "investors", "ipo", "iphone", "layoffs", "lawsuit", "market", "markets",
    "merger",
    "nasdaq", "nyse", "outlook", "outperform", "overweight", "profit", "profits", "q1", "q2", "q3", "q4", "quarter",
    "quarterly",
    "rally", "revenue", "revenues", "s&p", "sales", "sec", "shareholder", "shareholders", "shares", "stake", "stock",
    "stocks",
    "takeover", "underperform", "underweight", "unveils", "upgrade", "upgraded", "upgrades", "valuation", "wall",
})  # fmt: skip

# Words that say: this is about coins.
CRYPTO: Final = frozenset({
    "altcoin", "altcoins", "binance", "bitcoin", "blockchain", "btc", "coin", "coinbase", "coins", "crypto",
    "cryptocurrencies",
    "cryptocurrency", "dao", "defi", "ether", "ethereum", "halving", "memecoin", "mining", "nft", "nfts", "onchain",
    "on-chain",
    "satoshi", "stablecoin", "stablecoins", "staking", "token", "tokens", "wallet", "wallets", "web3",
})  # fmt: skip

# Beside these, the word is the word.
NOT_WITH: Final = {
    "apple": frozenset({
        "cider", "crop", "farmers", "fruit", "fruits", "growers", "harvest", "juice", "orchard", "orchards", "pear",
        "pears", "pie",
        "pies", "tree", "trees",
    }),
    "orange": frozenset({"crop", "farmers", "fruit", "groves", "growers", "harvest", "juice", "peel"}),
    "amazon": frozenset({"basin", "brazil", "deforestation", "forest", "indigenous", "jungle", "rainforest", "river"}),
    "shell": frozenset({"beach", "egg", "eggs", "sea", "seashell", "shock"}),
    "visa": frozenset({"applicants", "embassy", "h-1b", "immigration", "migrants", "student", "students", "tourist",
    "visas"}),
    "target": frozenset({"price"}),
    "gap": frozenset({"gender", "pay", "trade", "wage", "wealth"}),
    "delta": frozenset({"niger", "okavango", "river", "variant"}),
    "meta": frozenset({"analysis"}),
    "square": frozenset({"madison", "tahrir", "times", "trafalgar"}),
}  # fmt: skip

LEGAL: Final = frozenset(
    {"inc", "corp", "corporation", "co", "company", "ltd", "limited", "plc", "ag", "nv", "se", "sa"}
)

EXCHANGES: Final = frozenset({
    "AMEX", "ASX", "BATS", "BINANCE", "BIST", "BME", "BSE", "COINBASE", "EPA", "ETR", "FRA", "HKEX", "HKG", "JSE",
    "KRAKEN", "KRX",
    "LON", "LSE", "MIL", "NASDAQ", "NSE", "NYSE", "NYSEAMERICAN", "NYSEARCA", "OANDA", "OTC", "OTCMKTS", "SGX", "SIX",
    "SWX", "TSE",
    "TSX", "TYO", "XETRA",
})  # fmt: skip
EXCHANGE_ALIASES: Final = {
    "XNAS": "NASDAQ", "NASDAQGS": "NASDAQ", "XNYS": "NYSE", "ARCX": "NYSEARCA", "LON": "LSE", "XLON": "LSE", "XNAI":
    "NSE",
    "OTCMKTS": "OTC", "NYSEAMERICAN": "AMEX", "ETR": "XETRA", "TYO": "TSE", "HKG": "HKEX", "SWX": "SIX",
}  # fmt: skip

# What coins are called; their symbols need no other sign that a text is about coins.
COINS: Final = {
    "AAVE": ("Aave",), "ADA": ("Cardano",), "ALGO": ("Algorand",), "APT": ("Aptos",), "ARB": ("Arbitrum",), "ATOM":
    ("Cosmos",),
    "AVAX": ("Avalanche",), "BCH": ("Bitcoin Cash",), "BNB": ("Binance Coin",), "BONK": ("Bonk",), "BTC": ("Bitcoin",),
    "CRV": ("Curve",), "DOGE": ("Dogecoin",), "DOT": ("Polkadot",), "ETC": ("Ethereum Classic",), "ETH": ("Ethereum",
    "Ether"),
    "FIL": ("Filecoin",), "HBAR": ("Hedera",), "ICP": ("Internet Computer",), "INJ": ("Injective",), "LINK":
    ("Chainlink",),
    "LTC": ("Litecoin",), "MATIC": ("Polygon",), "MKR": ("Maker",), "NEAR": ("Near Protocol", "Near"), "OP":
    ("Optimism",),
    "PEPE": ("Pepe",), "POL": ("Polygon",), "SHIB": ("Shiba Inu",), "SOL": ("Solana",), "STX": ("Stacks",), "SUI":
    ("Sui",),
    "TIA": ("Celestia",), "TON": ("Toncoin",), "TRX": ("Tron",), "UNI": ("Uniswap",), "VET": ("VeChain",), "XLM":
    ("Stellar",),
    "XMR": ("Monero",), "XRP": ("Ripple",), "XTZ": ("Tezos",), "ZEC": ("Zcash",),
}  # fmt: skip
