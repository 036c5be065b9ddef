from django.urls import path

from ingestion import backfill_views, feed_views, force_views, instrument_views, storage_views, views, watchlist_views

urlpatterns = [
    path("instruments/", instrument_views.Instruments.as_view()),
    path("instruments/<str:symbol>/", instrument_views.OneInstrument.as_view()),
    path("instruments/<str:symbol>/prices/", instrument_views.Prices.as_view()),
    path("market/<str:symbol>/latest/", views.LatestPrice.as_view()),
    path("market/<str:symbol>/candles/", views.Candles.as_view()),
    path("market/<str:symbol>/trades/", views.Trades.as_view()),
    path("market/<str:symbol>/book/", views.Book.as_view()),
    path("watchlists/", watchlist_views.Watchlists.as_view()),
    path("watchlists/<int:pk>/", watchlist_views.OneWatchlist.as_view()),
    path("watchlists/<int:pk>/items/", watchlist_views.WatchlistItems.as_view()),
    path("watchlists/<int:pk>/items/<str:symbol>/", watchlist_views.OneWatchlistItem.as_view()),
    path("storage/", storage_views.Storage.as_view()),
    path("feeds/", feed_views.Feeds.as_view()),
    path("feeds/<str:provider>/", feed_views.OneFeed.as_view()),
    path("realtime/force_price_update/", force_views.ForcePriceUpdate.as_view()),
    path("backfills/", backfill_views.Backfills.as_view()),
    path("backfills/coverage/", backfill_views.Coverages.as_view()),
    path("backfills/<int:pk>/", backfill_views.OneBackfill.as_view()),
    path("backfills/<int:pk>/cancel/", backfill_views.CancelBackfill.as_view()),
    path("gaps/", backfill_views.Gaps.as_view()),
    path("gaps/<int:pk>/retry/", backfill_views.RetryGap.as_view()),
]
