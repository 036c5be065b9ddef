"""The kinds of destinations, one file each: what is sent there, and what the answer means. Pure; `sending.py` sends."""

from typing import Final

from signals.channels import discord, email, ntfy, slack, telegram, webhook, webpush
from signals.channels.shapes import Channel

CHANNELS: Final[dict[str, Channel]] = {
    "email": email.CHANNEL,
    "telegram": telegram.CHANNEL,
    "ntfy": ntfy.CHANNEL,
    "discord": discord.CHANNEL,
    "slack": slack.CHANNEL,
    "webhook": webhook.CHANNEL,
    "webpush": webpush.CHANNEL,
}
