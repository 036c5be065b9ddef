import { App } from "./app";
import { mount } from "./mount";
import "../styles/market.css";

mount(<App />);
